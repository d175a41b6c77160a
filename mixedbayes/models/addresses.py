"""Addresses of parameters: what they are called in priors, tables, hypotheses and files. One printer, one reader.

Address("sd", ("Subject", "Days"))                      sd[Subject, Days]
Address("b", ("x",), predictor="sigma")                 sigma.b[x]
Address("sd", ("g", "Intercept"), centred=True)         centred.sd[g, Intercept], at the predictors' means
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mixedbayes.designs.design import Block, Design, Fixed
from mixedbayes.errors import PriorError, listed, nearest_address
from mixedbayes.language.formula import MEAN
from mixedbayes.models.families import Family
from mixedbayes.models.structures import Structure, StructureParameter, structures_of

CENTRED, CENTERED = "centred.", "centered."
"""Before an address: the parameter at the predictors' means, where tables show another at zero; and as it is
written on the other side of the Atlantic."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a parameter is called.

    Attributes:
        kind: `b`, `sd`, `cor`, `r`, `coef`; or a name of its own, `Intercept`, `sigma`.
        names: What stands in brackets: a group, a level, columns.
        predictor: The parameter of the family whose predictor it belongs to; the first one's is not written.
        centred: Whether it is at the predictors' means, where tables show another at zero.
    """

    kind: str
    names: tuple[str, ...] = ()
    predictor: str = MEAN
    centred: bool = False

    def __str__(self) -> str:
        before = CENTRED if self.centred else ""
        of = "" if self.predictor == MEAN else f"{self.predictor}."
        return f"{before}{of}{self.kind}" + (f"[{', '.join(self.names)}]" if self.names else "")


def squeezed(text: str) -> str:
    """The text without blanks."""
    return "".join(text.split())


def spelled(text: str) -> str:
    """An address without blanks, in our spelling: two that are equal so are one."""
    plain = squeezed(text)
    return CENTRED + plain.removeprefix(CENTERED) if plain.startswith(CENTERED) else plain


def addresses(
    design: Design, family: Family, structures: Mapping[str, Structure] | None = None
) -> tuple[Address, ...]:
    """Every address that a prior can have, in the order of tables.

    Args:
        design: Its predictors and blocks.
        family: Its parameters.
        structures: Of the blocks, by their names; None for what the formula says.
    """
    structures = structures_of(design.groups) if structures is None else structures
    found: list[Address] = []
    for name, linear in design.linears.items():
        found += of_coefficients(linear.fixed, name)
        blocks = [block for block in design.groups if block.parameter == name]
        found += of_blocks(blocks, name, structures)
    estimated = family.estimated(design.formula.response.additions)
    found += [Address(p.name) for p in estimated[1:] if p.name not in design.linears]
    return tuple(dict.fromkeys(found))


def of_coefficients(fixed: Fixed, predictor: str) -> Iterator[Address]:
    """Those of a population level: all slopes at once, each column, what is at the means."""
    if fixed.has_intercept:
        yield Address("Intercept", (), predictor)
        yield Address("b", ("Intercept",), predictor)
    if fixed.slopes:
        yield Address("b", (), predictor)
    yield from (Address("b", (name,), predictor) for name in fixed.slopes)
    yield from (Address("b", (name,), predictor, centred=True) for name in moved_slopes(fixed))


def of_blocks(
    blocks: Iterable[Block], predictor: str, structures: Mapping[str, Structure]
) -> Iterator[Address]:
    """Those of blocks, kind by kind: all at once, a group's, each effect's, what is at the means."""
    asked = [
        (block, each) for block in blocks for each in structures[block.name].parameters(len(block.columns))
    ]
    for kind in dict.fromkeys(each.kind for _, each in asked):
        yield Address(kind, (), predictor)
        for block, each in asked:
            if each.kind == kind:
                yield from _of_block(block, each, predictor, moved_effects(block, structures[block.name]))


def _of_block(
    block: Block, each: StructureParameter, predictor: str, moved: Sequence[str]
) -> Iterator[Address]:
    for name in names_of(block, each.kind):
        yield Address(each.kind, (name,), predictor)
        if each.each:
            yield from (Address(each.kind, (name, column), predictor) for column in block.columns)
    if each.each:
        yield from (Address(each.kind, (block.label, column), predictor, centred=True) for column in moved)
    elif each.is_matrix and moved:
        yield Address(each.kind, (block.label,), predictor, centred=True)


def names_of(block: Block, kind: str = "sd") -> tuple[str, ...]:
    """What a block is called in addresses: its own name, and before its sds its group's where that is another."""
    return tuple(dict.fromkeys((block.label, block.group if kind == "sd" else block.label)))


def moved_slopes(fixed: Fixed) -> tuple[str, ...]:
    """Columns but the intercept whose coefficients are others at the predictors' means."""
    pairs = enumerate(zip(fixed.columns, fixed.centring.moves, strict=True))
    return tuple(name for j, (name, moves) in pairs if moves and j != fixed.intercept)


def moved_effects(block: Block, structure: Structure) -> tuple[str, ...]:
    """Effects that are others at the predictors' means, where their structure is the same there."""
    pairs = zip(block.columns, block.centring.moves, strict=True)
    return tuple(name for name, moves in pairs if moves) if structure.moves and len(block.columns) > 1 else ()


def varying(text: str, predictors: Iterable[str]) -> str:
    """What to say where an address is that of a parameter of the family which has a predictor, and so is no number."""
    name = squeezed(text)
    if name == MEAN or name not in predictors:
        return ""
    return f" {name} has a formula and differs from row to row: its parameters are {name}.Intercept, {name}.b[...], {name}.sd[...]."


def by_address[T](given: dict[str, T], known: Iterable[Address]) -> dict[str, T]:
    """What a user gives by address under the canonical addresses, blanks not counting.

    Raises:
        PriorError: There is no such address, or one is given twice under two spellings.
    """
    known = list(known)
    canonical: dict[str, str] = {}
    for address in known:
        said = str(address)
        if address.kind == "Intercept":  # the intercept at the means goes by two names
            canonical[spelled(str(replace(address, kind="b", names=("Intercept",), centred=True)))] = said
        if address.predictor == MEAN and (address.names or address.kind in ("Intercept", "b", "sd", "cor")):
            plain = str(replace(address, centred=False))
            canonical[spelled(f"{CENTRED if address.centred else ''}{MEAN}.{plain}")] = said
        canonical[spelled(said)] = said
    found: dict[str, T] = {}
    for text, value in given.items():
        key = spelled(text)
        if key not in canonical:
            texts, predictors = list(map(str, known)), {address.predictor for address in known}
            raise PriorError(
                f"No parameter has the address {text!r}.{varying(text, predictors) or nearest_address(text, texts)} "
                f"Addresses here: {listed(texts, 40)}."
            )
        if canonical[key] in found:
            raise PriorError(f"{canonical[key]} is given two priors under two spellings; keep one.")
        found[canonical[key]] = value
    return found
