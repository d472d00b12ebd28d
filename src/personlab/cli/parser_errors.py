"""The parser's errors in one readable line: which option, what it got, what it takes."""

from __future__ import annotations

import difflib
import inspect
import re
import sys
from collections.abc import Callable, Iterable

from personlab.imports import ALLOWED_PACKAGES

_LONGEST = 400


def nearest(word: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """A question that names the most similar of the known words, or nothing if none is similar."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {close[0]!r}?" if close else ""


def explain(message: str, read_help: Callable[[], str]) -> str:
    """Say an error of the parser in one line.

    Args:
        message: The parser's own text, of several lines.
        read_help: Gives the help of the command, which lists its options; called for options that do not exist.

    Returns:
        One line without its end.
    """
    keys = list(dict.fromkeys(re.findall(r'Parser key "([^"]+)":', message)))
    where = f"{'.'.join(keys)}: " if keys else ""
    denied = re.search(r"Importing '([^']+)' is not allowed", message)
    if denied:
        return f"{where}{denied[1]!r} is not allowed; name a class of {', '.join(ALLOWED_PACKAGES)}"
    text = re.sub(r'Parser key "[^"]+":', "", message)
    # The parser tries every text as the path of a file first; that this failed is no news.
    text = re.sub(r"- Expected a path but .* either not accessible or invalid\s*- ", "", text)
    text = _of_union(text) if "Union subtypes" in text else _plain_types(text)
    text = re.sub(r"\s+", " ", text).strip()
    return where + (text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ...") + _suggestion(message, read_help)


def _of_union(text: str) -> str:
    """What is wrong with a value that may be of several types.

    Where one of them is a class, and the value names one, what is wrong with that class is all that matters.
    """
    problem = re.search(
        r"^ *- (Problem with given class_path .*?)(?=^ *- |^ *Given value)", text, re.DOTALL | re.MULTILINE
    )
    if problem:
        return _plain_types(problem[1])
    types = re.search(r"Subtypes: \[(.*)\]$", text, re.MULTILINE)
    value = re.search(r"Given value: (.*)", text)
    if not types or not value:
        return text
    # Commas inside of brackets do not separate types.
    choices = re.split(r", (?![^\[]*\])", re.sub(r"Literal\[(.*?)\]", r"\1", _plain_types(types[1])))
    return f"{value[1][:60]!r} is none of {', '.join(dict.fromkeys(choice.strip(chr(39)) for choice in choices))}"


def _plain_types(text: str) -> str:
    """Types by their bare names: `<class 'a.b.C'>` is C."""
    text = re.sub(r"<class '([^']*)'>", r"\1", text).replace("NoneType", "null")
    text = re.sub(r"\b(?:typing|collections\.abc|lightning(?:\.\w+)+)\.(?=\w)", "", text)
    return re.sub(r"Expected an? ", "expected ", text).replace(". Got value: ", ", got ")


def _suggestion(message: str, read_help: Callable[[], str]) -> str:
    """The nearest name for an option that does not exist."""
    unknown = re.search(r"unrecognized arguments:.*?(--[^\s=]+)", message, re.IGNORECASE)
    if unknown:
        options = re.findall(r"^\s+(?:-\w(?: \S+)?, )?(--[\w.]+)", read_help(), re.MULTILINE)
        return nearest(unknown[1], options, cutoff=0.8)
    refused = re.search(r"class_path '([\w.]+)':\s*Option '(\w+)' is not accepted", message)
    if refused:
        module, _, name = refused[1].rpartition(".")
        named = getattr(sys.modules.get(module), name, None)  # the parser has imported it
        return nearest(refused[2], inspect.signature(named).parameters) if callable(named) else ""
    return ""
