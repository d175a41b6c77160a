"""The command line: `mixedbayes fit FORMULA DATA` and `mixedbayes datasets`.

An error is one line on stderr and exit status 2; what the data lacked is a note on stderr.
"""

import codecs
import gzip
import json
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import click
import pandas as pd
from click.core import ParameterSource

from mixedbayes import __version__, fit, list_datasets, load_dataset
from mixedbayes.datasets import DATASETS
from mixedbayes.errors import (
    ArgumentError,
    ConvergenceWarning,
    DataError,
    DesignWarning,
    FileError,
    FormulaError,
    MixedBayesError,
    PartialDrawsWarning,
    PriorError,
    listed,
    nearest,
)
from mixedbayes.models.families import FAMILIES

PARAMETERS = tuple(dict.fromkeys(p.name for family in FAMILIES.values() for p in family.others))
"""Those beside the mean that some family has, and that a formula can be of."""

READERS: Mapping[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": lambda path: _read_text(path, ","),
    ".csv.gz": lambda path: _read_text(path, ","),
    ".tsv": lambda path: _read_text(path, "\t"),
    ".tsv.gz": lambda path: _read_text(path, "\t"),
    ".parquet": pd.read_parquet,
    ".feather": pd.read_feather,
}
"""How a file is read, by how its name ends; none of these runs what it reads."""

STDIN = "-"
"""What stands for standard input, in place of a file."""

SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}

ENCODINGS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
             codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip
"""How text is encoded, by the mark that it begins with; without one in UTF-8. That of UTF-16 begins one of UTF-32."""

START = 2**16
"""Bytes of a file that are looked at to see what it is."""


class OneLine(click.Group):
    """A group whose errors are one line on stderr, with exit status 2."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and turn every expected error into a line."""
        kwargs["standalone_mode"] = False
        try:
            return super().main(*args, **kwargs)
        except click.exceptions.Exit as leave:
            sys.exit(leave.exit_code)
        except click.exceptions.NoArgsIsHelpError as shown:
            click.echo(shown.format_message())
            sys.exit(2)
        except click.ClickException as error:
            _leave(error.format_message())
        except FormulaError as error:
            at = (
                f" (character {error.place + 1} of {error.text!r})"
                if error.text and error.place is not None
                else ""
            )
            _leave(error.message + at)
        except MixedBayesError as error:
            _leave(str(error))
        except (KeyboardInterrupt, click.Abort):
            click.echo("Interrupted.", err=True)
            sys.exit(130)
        except Exception as error:  # noqa: BLE001  # a fault of ours, which a script must not meet as a traceback
            _leave(f"stopped by a fault of its own, {type(error).__name__}: {error}", 1)


def _printable(text: str) -> str:
    """One line without what a terminal would obey: a column's name can hold anything."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def _visible(value: Any) -> Any:
    """A text with escapes for what a terminal would obey; anything else as it is."""
    if not isinstance(value, str):
        return value
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in value)


def _is_terminal() -> bool:
    """Whether tables are written to a terminal."""
    return sys.stdout.isatty()


def _leave(message: str, status: int = 2) -> None:
    click.echo(f"mixedbayes: {_printable(message)}", err=True)
    sys.exit(status)


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mixedbayes")
def main() -> None:
    """Bayesian mixed models from lme4 formulas."""


@main.command("fit")
@click.argument("formula")
@click.argument("data")
@click.option("--family", default="gaussian", show_default=True, help=f"One of {', '.join(FAMILIES)}.")
@click.option("--link", default=None, help="Link of the mean; by default the family's own.")
@click.option(
    "--formula",
    "formulas",
    multiple=True,
    metavar="NAME=TEXT",
    help="A formula of another parameter, as 'sigma=~ x + (1 | g)'; repeat for more.",
)
@click.option(
    "--prior",
    "priors",
    multiple=True,
    metavar="ADDRESS=TEXT",
    help="A prior, as 'b[Days]=normal(0, 10)'; repeat for more.",
)
@click.option(
    "--missing",
    type=click.Choice(["drop", "error"]),
    default="drop",
    show_default=True,
    help="What becomes of rows with gaps.",
)
@click.option(
    "--method",
    default="auto",
    show_default=True,
    help="auto; collapsed (Gaussian models, without Markov chains); or nuts.",
)
@click.option("--chains", default=4, show_default=True, help="Independent chains.")
@click.option("--draws", type=int, default=None, help="Kept draws of each chain; by default 1000, or enough.")
@click.option("--sampler", default=None, help="Of nuts: nutpie (the default), pymc, numpyro or blackjax.")
@click.option("--tune", type=int, default=None, help="Of nuts: adaptation steps of each chain [1000].")
@click.option(
    "--target-accept", type=float, default=None, help="Of nuts: raise it against divergences [0.9]."
)
@click.option("--memory", type=float, default=None, help="Of collapsed: GiB for draws of group effects [1].")
@click.option("--seed", type=int, default=None, help="The same seed gives the same draws.")
@click.option("--cores", type=int, default=None, help="Processors at once, at most [all].")
@click.option(
    "--conf-level",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Mass of the intervals.",
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Save the fit, as fit.nc."
)
@click.option(
    "--overwrite", is_flag=True, help="Let --output replace a file that holds something else than a fit."
)
@click.option(
    "--format", "shape", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True,
    help="table for reading; csv and json have one row a parameter.",
)  # fmt: skip
@click.option("--progress/--no-progress", default=True, help="A progress bar on the terminal.")
def fit_command(  # noqa: PLR0913  # what users pass by name
    *,
    formula: str,
    data: str,
    formulas: tuple[str, ...],
    priors: tuple[str, ...],
    output: Path | None,
    overwrite: bool,
    shape: str,
    conf_level: float,
    **options: Any,
) -> None:
    """Fit FORMULA, as 'y ~ x + (1 + x | g)', to DATA.

    DATA is a file (csv, tsv, parquet), the name of a data set, or - for csv or tsv from standard input.

    \b
    mixedbayes fit "Reaction ~ Days + (Days | Subject)" sleepstudy
    mixedbayes fit "y ~ x + (1 | g)" data.csv --prior "b=normal(0, 1)"
    mixedbayes fit "y | trials(n) ~ x + (1 | g)" data.csv --family binomial
    mixedbayes fit "y ~ x + (1 | g)" data.csv --formula "sigma=~ x"
    grep -v "^#" data.csv | mixedbayes fit "y ~ x + (1 | g)" -
    """  # noqa: D301  # \b is click's mark for text that keeps its lines
    source = click.get_current_context().get_parameter_source("progress")
    if source is ParameterSource.DEFAULT:
        options["progress"] = sys.stderr.isatty() and _is_terminal()
    if overwrite and output is None:
        raise ArgumentError("--overwrite goes with --output, which names the file.")
    if output is not None:
        _check_output(output, data, overwrite=overwrite)
    predictors = _by_name(formulas)
    table = read_data(data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = fit(formula, table, priors=_by_address(priors), **options, **predictors)
    printed = ConvergenceWarning if shape == "table" else ()  # the table says these itself
    for warning in caught:
        ours = issubclass(warning.category, DesignWarning | ConvergenceWarning | PartialDrawsWarning)
        if ours and not issubclass(warning.category, printed):
            click.echo(f"note: {_printable(str(warning.message))}", err=True)
    match shape:
        case "table":
            from mixedbayes.results.tables.report import build_report, terminal_width  # noqa: PLC0415  # ArviZ takes seconds to import

            click.echo(build_report(fitted, conf_level).text(terminal_width()))
        case "csv":
            tidy = fitted.tidy(conf_level=conf_level)
            shown = tidy.map(_visible) if _is_terminal() else tidy
            click.echo(
                shown.to_csv(index=False), nl=False, color=True
            )  # else click would take parts out of labels
        case "json":
            tidy = fitted.tidy(conf_level=conf_level)
            records = tidy.astype(object).where(tidy.notna(), None).to_dict("records")
            click.echo(json.dumps(records, indent=1, default=str))
    if output is not None:  # last, so that a full disk does not lose the table too
        fitted.to_netcdf(output, overwrite=overwrite)


@main.command("datasets")
def datasets_command() -> None:
    """List the data sets that come with mixedbayes."""
    for row in list_datasets().itertuples():
        click.echo(f"{row.name:<15}{row.rows:>7,} rows  {row.about}")


def read_data(source: str) -> pd.DataFrame:
    """The table that a command line names: a file, or one of our data sets.

    Raises:
        DataError: It is neither, or cannot be read as a table.
    """
    if source == STDIN:
        return _read_stdin()
    path = Path(source)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        pass  # for what is no file there are sentences below
    except OSError as error:
        raise DataError(f"{source} cannot be read: {error.strerror}.") from None
    ending = next((end for end in READERS if path.name.lower().endswith(end)), None)
    if ending is None and not path.is_file():
        if source in DATASETS:
            return load_dataset(source)
        raise DataError(
            f"There is no data set {source!r}, and no file of that name.{nearest(source, DATASETS)} "
            "'mixedbayes datasets' lists the data sets."
        )
    if path.is_dir():
        raise DataError(f"{source} is a folder; name a file in it.")
    if not path.is_file():
        raise DataError(f"There is no file {source}.")
    if ending is None and source in DATASETS:
        raise DataError(
            f"{source} is a file here and also the name of a data set: rename the file for the one, as {source}.csv for the other."
        )
    if ending is None:
        raise DataError(f"{source} does not end in {', '.join(READERS)}, so it is not known how to read it.")
    try:
        return READERS[ending](path)
    except MixedBayesError:
        raise
    except ImportError as error:
        raise DataError(
            f"Reading {ending} files needs pyarrow: pip install 'mixedbayes[parquet]'."
        ) from error
    except Exception as error:  # a damaged file shows as any exception of pandas, pyarrow, gzip or zlib
        raise DataError(f"{source} cannot be read as a table: {error}") from error


def _read_stdin() -> pd.DataFrame:
    """Text with commas or tabs, whichever its first line has; gzipped too."""
    if sys.stdin.isatty():
        raise DataError(
            "'-' reads the table from standard input, and nothing is sent there: cat data.csv | mixedbayes fit FORMULA -"
        )
    content = sys.stdin.buffer.read()
    try:
        content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        first = content.partition(b"\n")[0]
        return _read_text(BytesIO(content), "\t" if first.count(b"\t") > first.count(b",") else ",")
    except MixedBayesError:
        raise
    except Exception as error:  # as for files
        raise DataError(f"Standard input cannot be read as a table: {error}") from error


def _read_text(path: Path | BytesIO, separator: str) -> pd.DataFrame:
    """A table in text, as UTF-8 or what its first bytes say.

    Raises:
        DataError: It is in another encoding, its columns are told apart by something else, two have a name, or rows
            are longer than the first.
    """
    name = "Standard input" if isinstance(path, BytesIO) else str(path)
    start = _start_of(path)
    encoding = next((each for mark, each in ENCODINGS.items() if start.startswith(mark)), "utf-8")
    if encoding not in ("utf-16", "utf-32") and b"\x00" in start:
        raise DataError(
            f"{name} cannot be read as a table: it holds zeros, as text in UTF-16 does and a file of another kind."
        )
    first = start.decode(encoding, "ignore").lstrip("\r\n").partition("\n")[0]
    options = {"sep": separator, "encoding": encoding, "skipinitialspace": _is_spaced(first, separator)}
    _check_separator(first, separator, name)
    try:
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, **options).iloc[0].dropna()
        if isinstance(path, BytesIO):
            path.seek(0)
        if not header.is_unique:  # pandas would rename the second in silence
            raise DataError(
                f"{name} has more than one column named {listed(map(repr, header[header.duplicated()].unique()))}; rename all but one."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            # without index_col=False pandas takes the first column of longer rows for their names, and shifts the rest
            return pd.read_csv(path, low_memory=False, index_col=False, **options)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name} cannot be read as a table: it is not in UTF-8 (byte {error.object[error.start]:#x}). If Excel or R on Windows made it, "
            "it is in Windows-1252: save it as 'CSV UTF-8', or convert it by iconv -f WINDOWS-1252 -t UTF-8."
        ) from error
    except pd.errors.ParserWarning as error:
        raise DataError(
            f"{name} cannot be read as a table: its rows have more fields than its first line has names."
        ) from error


def _start_of(path: Path | BytesIO) -> bytes:
    """The first bytes, unpacked."""
    if isinstance(path, BytesIO):
        return path.getvalue()[:START]
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        return bytes(file.read(START))


def _is_spaced(first: str, separator: str) -> bool:
    """Whether the names of columns follow their separators with a space, as then the values do: `y, x, g`."""
    names = _unquoted(first).split(separator)[1:]
    return bool(names) and all(name.startswith(" ") for name in names)


def _check_separator(first: str, separator: str, name: str) -> None:
    """Refuse a first line without the separator and with others: its columns would be one."""
    counts = {other: _unquoted(first).count(other) for other in SEPARATORS}
    other = max(counts, key=lambda each: counts[each])
    if not counts[separator] and counts[other]:
        read = f"pd.read_csv(path, sep={other!r}{', decimal=' + repr(',') if other == ';' else ''})"
        raise DataError(
            f"{name} has {SEPARATORS[other]} between its columns where {SEPARATORS[separator]} are expected: save it with these, or read it in Python, {read}."
        )


def _unquoted(line: str) -> str:
    return re.sub(r'"[^"]*"', '""', line)


def _check_output(output: Path, data: str, *, overwrite: bool) -> None:
    """Refuse a place for the fit that cannot be written, or should not be, before anything is sampled."""
    from mixedbayes.results.files.container import check_place  # noqa: PLC0415  # xarray takes half a second to import

    try:
        is_same = output.samefile(data)
    except (OSError, ValueError):  # one of them is no file
        is_same = False
    if is_same:
        raise FileError(f"{output} is the data: save the fit under another name, as fit.nc.")
    check_place(output, overwrite=overwrite)


def _by_name(texts: Sequence[str]) -> dict[str, Any]:
    """Every --formula by the parameter that it is of.

    Raises:
        FormulaError: It names none, or one that has another formula.
    """
    formulas: dict[str, Any] = {}
    for text in texts:
        name, equals, side = (part.strip() for part in text.partition("="))
        if not equals or "~" in name or not side.startswith("~"):
            raise FormulaError(f"--formula {text!r} is not that of a parameter: write --formula 'sigma=~ x'.")
        if name not in PARAMETERS:
            raise FormulaError(
                f"--formula {text!r}: no family has a parameter {name!r}.{nearest(name, PARAMETERS)} "
                f"Those with formulas are {listed(PARAMETERS)}."
            )
        if name in formulas:
            raise FormulaError(f"--formula {name} is given twice; add their terms in one.")
        formulas[name] = side
    return formulas


def _by_address(texts: Sequence[str]) -> dict[str, str]:
    """Every --prior by its address."""
    priors: dict[str, str] = {}
    for text in texts:
        address, prior = _split_prior(text)
        if address in priors:
            raise PriorError(f"--prior {address} is given twice; keep one.")
        priors[address] = prior
    return priors


def _split_prior(text: str) -> tuple[str, str]:
    """Address and prior, at the first equals sign outside brackets: `b[bs(x, df=4)[1]]=normal(0, 1)`."""
    depth = 0
    for i, character in enumerate(text):
        depth += (character in "[(") - (character in "])")
        if character == "=" and not depth:
            return text[:i].strip(), text[i + 1 :].strip()
    raise PriorError(f"--prior {text!r} lacks '=': write --prior 'b[x]=normal(0, 1)'.")
