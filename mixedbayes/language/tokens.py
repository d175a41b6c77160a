"""Text -> tokens: formulaic's tokenizer, and what a token is and says."""

import re
from itertools import zip_longest

from formulaic.errors import FormulaParsingError
from formulaic.parser.algos.tokenize import tokenize
from formulaic.parser.types import Token

from mixedbayes.errors import FormulaError
from mixedbayes.language.expressions import Expression, unquoted
from mixedbayes.language.read import parse_expression

NAME, VALUE, CODE, OPERATOR, BRACKET = (
    Token.Kind.NAME,
    Token.Kind.VALUE,
    Token.Kind.PYTHON,
    Token.Kind.OPERATOR,
    Token.Kind.CONTEXT,
)

CLOSERS = {"`": "`", "{": "}", "%": "%"}

BARS = ("|", "||")

SIGNS = ("+", "-")

QUOTED = re.compile(r"""`(?:\\.|[^`\\])*`|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""", re.DOTALL)

SIGNIFICANT = "()[]{}%`'\""

HIDDEN = "".join(chr(0xE100 + i) for i in range(len(SIGNIFICANT)))

HIDE, SHOW = str.maketrans(SIGNIFICANT, HIDDEN), str.maketrans(HIDDEN, SIGNIFICANT)

REMAINDER = "R's %% and %/% are % and // here, inside I(...): I(x % 2)."


def scan(text: str) -> list[Token]:
    """Formulaic's tokens, with runs of operators such as `+-` or `~ .` taken apart."""
    tokens: list[Token] = []
    try:
        raw = [_shown(token, text) for token in tokenize(_hidden(text))]
    except FormulaParsingError as error:
        if "%%" in text:
            raise FormulaError(REMAINDER, text, text.index("%%")) from None
        raise located(error, text) from None
    for token, after in zip_longest(raw, raw[1:]):
        start, end = token.source_start or 0, token.source_end or token.source_start or 0
        written = text[start : end + 1]
        gap = text[end + 1 : len(text) if after is None else after.source_start].strip()
        if gap != CLOSERS.get(text[start], ""):
            raise FormulaError("Nothing stands between these marks.", text, start)
        if written.startswith("%"):
            if token.token.strip() != "in":
                advice = REMAINDER if token.token.strip() in ("", "/") else "The one with % is %in%."
                raise FormulaError(f"Unknown operator '{written}%'. {advice}", text, start)
            tokens.append(token.copy_with_attrs(token="in"))
        elif token.kind is OPERATOR:
            tokens += [
                token_of(found.group(), OPERATOR, text, start + found.start())
                for found in re.finditer(r"\|\||\*\*|\S", written)
            ]
        elif written == ".":
            tokens.append(token_of(".", OPERATOR, text, start))
        else:
            tokens.append(token)
    return tokens


def _hidden(text: str) -> str:
    """The text with signs in quotes as signs of nothing: Formulaic's tokenizer would count a bracket in a level."""
    if any(sign in text for sign in HIDDEN):
        return text
    return QUOTED.sub(lambda found: found[0] if found[0][0] == "`" else _hidden_inside(found[0]), text)


def _hidden_inside(quotes: str) -> str:
    return quotes[0] + quotes[1:-1].translate(HIDE) + quotes[-1]


def _shown(token: Token, text: str) -> Token:
    """The token with what it holds as it is in the text."""
    if any(sign in text for sign in HIDDEN):
        return token
    return token.copy_with_attrs(token=token.token.translate(SHOW), source=text)


def is_sign(token: Token, symbols: tuple[str, ...]) -> bool:
    """Whether the token is one of these operators or brackets, and no column so named."""
    return token.kind in (OPERATOR, BRACKET) and token.token in symbols


def name_of(token: Token, text: str) -> str:
    """The column that a name token stands for, its backticks taken off."""
    return unquoted(token.token) if text[token.source_start or 0] == "`" else token.token


def token_of(symbol: str, kind: Token.Kind, text: str, start: int) -> Token:
    """A sign of so many characters at a place of the text."""
    return Token(symbol, kind=kind, source=text, source_start=start, source_end=start + len(symbol) - 1)


def deeper(token: Token) -> int:
    """By how much a token goes deeper into brackets."""
    return 0 if token.kind is not BRACKET else 1 if token.token in "([" else -1


def expression_at(written: str, text: str, start: int, dot: Expression | None = None) -> Expression:
    """An expression that stands at `start` of the formula, with errors placed in the formula."""
    try:
        return parse_expression(written, dot)
    except FormulaError as error:
        raise FormulaError(error.message, text, start + (error.place or 0)) from None


def located(error: FormulaParsingError, text: str) -> FormulaError:
    """Formulaic's message, its marked-up copy of the formula replaced by a caret."""
    message, _, marked = str(error).partition("\n\n")
    place = marked.find("⧛")
    if message.startswith("Formula ended before"):
        closer = message.rstrip(".")[-1]
        message = f"The formula ends before {closer!r} closes what was opened here."
    return FormulaError(
        message.replace("insuffient", "insufficient"), text, place if place >= 0 else len(text)
    )
