"""A model in words: its formula, data, and every parameter with its prior."""

from collections.abc import Iterable
from html import escape
from math import isinf

from mixedbayes.language.additions import ADDITIONS, addition_text
from mixedbayes.models.addresses import CENTRED
from mixedbayes.models.spec import ModelSpec, Parameter


def header(spec: ModelSpec) -> list[tuple[str, str]]:
    """What a table says first: family, links, formula, response, data."""
    links = "; ".join(f"{name} = {spec.links.get(name, 'identity')}" for name in spec.of_family)
    said = [("Family", spec.family.name), ("Links", links), ("Formula", spec.design.formula.text)]
    if spec.design.response.modelled:
        said.append(("Response", spec.design.response.modelled))
    return [*said, ("Data", str(spec.design.rows))]


def notes(spec: ModelSpec) -> tuple[str, ...]:
    """What is to be said of the data, and of what stands beside the response: what that does."""
    additions = spec.design.formula.response.additions
    said = [
        f"{addition_text(name, addition)} {ADDITIONS[name].does}."
        for name, addition in additions.items()
        if ADDITIONS[name].does
    ]
    known = [p.name for p in spec.family.parameters if p.name not in spec.of_family]
    said += [f"{name} is not estimated: what is known stands in its place." for name in known]
    return (*spec.design.notes, *said)


def prior_rows(spec: ModelSpec) -> list[tuple[str, str, str]]:
    """For each parameter its address, its prior, and where that comes from."""
    return [(p.address, _prior_text(p), "default" if p.default else "yours") for p in spec.parameters]


def spec_text(spec: ModelSpec) -> str:
    """The model as a table of text."""
    lines = [f"{name + ':':<9} {value}" for name, value in header(spec)]
    lines += [f"{'Groups:' if i == 0 else '':<9} {block}" for i, block in enumerate(_blocks(spec))]
    lines += [f"{'Note:':<9} {note}" for note in notes(spec)]
    rows = [("Parameter", "Prior", ""), *prior_rows(spec)]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    table = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}".rstrip() for a, b, c in rows]
    return "\n".join([*lines, "", *table, *(f"\n{note}" for note in _where(spec))])


def spec_html(spec: ModelSpec) -> str:
    """The model as a table of HTML."""
    said = [
        *header(spec),
        *(("Group", block) for block in _blocks(spec)),
        *(("Note", n) for n in notes(spec)),
    ]
    style = "style='text-align:left;padding:0 .6em'"
    rows = [(("Parameter", "Prior", ""), "th"), *((row, "td") for row in prior_rows(spec))]
    table = "".join(
        "<tr>" + "".join(f"<{tag} {style}>{escape(cell)}</{tag}>" for cell in row) + "</tr>"
        for row, tag in rows
    )
    below = "".join(f"<div>{escape(note)}</div>" for note in _where(spec))
    return f"<div>{definitions(said)}<table style='margin:1em 0'>{table}</table>{below}</div>"


def _blocks(spec: ModelSpec) -> list[str]:
    """The blocks, each with its structure where that is not what the formula says."""
    given = {name: f", {structure.name}" for name, structure in spec.given_structures.items()}
    return [f"{spec.block}{given.get(spec.block.name, '')}" for spec in spec.blocks]


def _where(spec: ModelSpec) -> list[str]:
    """Which priors are of what is at the predictors' means, if some are."""
    moved = [p.address for p in spec.parameters if p.at_means]
    shown = list(dict.fromkeys(f"{CENTRED}*" if name.startswith(CENTRED) else name for name in moved))
    are = "is" if len(shown) == 1 and not shown[0].endswith("*") else "are"
    return (
        [
            f"{' and '.join([*filter(None, [', '.join(shown[:-1])]), shown[-1]])} {are} at the predictors' means; tables show what is at zero."
        ]
        if shown
        else []
    )


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and what they are, a line each, as HTML."""
    return "".join(f"<div><b>{escape(name)}:</b> {escape(value)}</div>" for name, value in pairs)


def _prior_text(parameter: Parameter) -> str:
    """The prior with its numbers, and what they come to where the text alone does not say."""
    prior, text = parameter.prior, parameter.prior.text(4)
    match prior.distribution, prior.arguments:
        case "lkj", _:
            return text
        case "flat", _:
            text = "flat (improper)" if isinf(parameter.support.upper - parameter.support.lower) else "flat"
        case "exponential", (float() as rate,):
            text = f"{text}  mean {1 / rate:.4g}"
    ends = parameter.support, prior.support
    lower, upper = (getattr(ends[0], end) for end in ("lower", "upper"))
    cuts = [f"above {lower:g}"] if lower > ends[1].lower else []
    cuts += [f"below {upper:g}"] if upper < ends[1].upper else []
    return "  ".join([text, " and ".join(cuts)]) if cuts else text
