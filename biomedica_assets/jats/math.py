"""Formulas as a careful reader would type them in a line of plain text, and their TeX source when the file has it.

What does not belong here: where formulas stand in a text (`text.py`).

Rule: the characters of the formula in reading order, sub- and superscripts on the line ("10-5", "CO2") as in the
rest of the text; only what marks cannot be left out is typed: "a/b" for a fraction, "√" for a root, the fences of
``mfenced``. White space between MathML elements means nothing (MathML 3, section 2.1.7).
"""

from __future__ import annotations

import re

from biomedica_assets.jats.document import Element, local_name

_TOKENS = frozenset(("mi", "mn", "mo", "mtext", "ms"))
_SILENT = frozenset(("annotation", "annotation-xml", "mphantom", "mprescripts", "none", "maligngroup", "malignmark"))
_INVISIBLE_OPERATORS = dict.fromkeys(map(ord, "\u2061\u2062\u2063\u2064"))


def mathml_text(math: Element) -> str:
    """Text of a MathML element.

    ``<msup><mn>10</mn><mn>-5</mn></msup>`` gives ``10-5``; ``<mfrac><mi>a</mi><mi>b</mi></mfrac>`` gives ``a/b``.
    """
    parts: list[str] = []
    _mathml(math, parts)
    return "".join(parts).translate(_INVISIBLE_OPERATORS)


def _mathml(element: Element, parts: list[str]) -> None:
    name = local_name(element)
    if name in _TOKENS:
        text = "".join(element.itertext()) if len(element) else element.text
        if text:
            # mtext may begin or end with a space that is meant (usually a no-break space).
            parts.append(" ".join(text.split(" ")) if name == "mtext" else text.strip())
    elif name == "mfrac" and len(element) == 2:
        top, bottom = (_operand(child) for child in element)
        parts.append(f"{top}/{bottom}")
    elif name == "msqrt":
        parts.append("√")
        inner = "".join(mathml_text(child) for child in element)
        parts.append(inner if len(inner) < 2 else f"({inner})")
    elif name == "mroot" and len(element) == 2:
        parts.append(f"{mathml_text(element[1])}√{_operand(element[0])}")
    elif name == "mfenced":
        separators = (element.get("separators", ",") or "").strip() or ""
        parts.append(element.get("open", "("))
        for i, child in enumerate(element):
            if i and separators:
                parts.append(separators[min(i - 1, len(separators) - 1)])
            _mathml(child, parts)
        parts.append(element.get("close", ")"))
    elif name == "mspace":
        if not (element.get("width") or "-").startswith(("-", "0em", "0pt", "0.0")):
            parts.append(" ")
    elif name in ("mtr", "mlabeledtr", "mtd"):
        if element.getprevious() is not None:
            parts.append(" ")
        for child in element:
            _mathml(child, parts)
    elif name not in _SILENT:
        for child in element:
            _mathml(child, parts)


def _operand(element: Element) -> str:
    """A side of a fraction: in parentheses when it is more than one term and has none already."""
    text = mathml_text(element)
    if re.search(r"[-+−±×·*/=<>\s]", text.strip()) and not re.fullmatch(r"\([^()]*\)", text):
        return f"({text})"
    return text


_TEX_BODY = re.compile(r"\\begin\{document\}(.*?)\\end\{document\}", re.DOTALL)
_TEX_DELIMITERS = re.compile(r"^\s*(?:\}\{\}\s*)?(?:\$\$|\$|\\\[|\\\()?|(?:\$\$|\$|\\\]|\\\))?\s*$")


def tex_source(text: str | None) -> str | None:
    r"""TeX of a ``tex-math`` element without the document around it and without its delimiters.

    >>> tex_source(r"\documentclass{minimal}\begin{document}$$E_{86}$$\end{document}")
    'E_{86}'
    """
    if not text:
        return None
    body = _TEX_BODY.search(text)
    source = _TEX_DELIMITERS.sub("", body[1] if body else text)
    return " ".join(source.split()) or None


_TEX_SYMBOLS = dict(
    pair.split("=")
    for pair in [
        "alpha=α",
        "beta=β",
        "gamma=γ",
        "delta=δ",
        "epsilon=ε",
        "varepsilon=ε",
        "zeta=ζ",
        "eta=η",
        "theta=θ",
        "vartheta=ϑ",
        "iota=ι",
        "kappa=κ",
        "lambda=λ",
        "mu=μ",
        "nu=ν",
        "xi=ξ",
        "pi=π",
        "rho=ρ",
        "sigma=σ",
        "tau=τ",
        "upsilon=υ",
        "phi=φ",
        "varphi=φ",
        "chi=χ",
        "psi=ψ",
        "omega=ω",
        "Gamma=Γ",
        "Delta=Δ",
        "Theta=Θ",
        "Lambda=Λ",
        "Xi=Ξ",
        "Pi=Π",
        "Sigma=Σ",
        "Phi=Φ",
        "Psi=Ψ",
        "Omega=Ω",
        "pm=±",
        "mp=∓",
        "times=×",
        "cdot=·",
        "div=÷",
        "ast=∗",
        "leq=≤",
        "le=≤",
        "geq=≥",
        "ge=≥",
        "neq=≠",
        "ne=≠",
        "approx=≈",
        "sim=∼",
        "simeq=≃",
        "cong=≅",
        "equiv=≡",
        "propto=∝",
        "ll=≪",
        "gg=≫",
        "infty=∞",
        "partial=∂",
        "nabla=∇",
        "sum=∑",
        "prod=∏",
        "int=∫",
        "sqrt=√",
        "in=∈",
        "notin=∉",
        "subset=⊂",
        "subseteq=⊆",
        "cup=∪",
        "cap=∩",
        "forall=∀",
        "exists=∃",
        "to=→",
        "rightarrow=→",
        "leftarrow=←",
        "Rightarrow=⇒",
        "leftrightarrow=↔",
        "uparrow=↑",
        "downarrow=↓",
        "circ=°",
        "degree=°",
        "prime=′",
        "langle=⟨",
        "rangle=⟩",
        "ldots=…",
        "dots=…",
        "cdots=⋯",
        "bigcirc=○",
        "bullet=•",
        "star=⋆",
        "dagger=†",
        "ell=ℓ",
        "hbar=ℏ",
        "Re=ℜ",
        "Im=ℑ",
        "upmu=μ",
        "upalpha=α",
        "upbeta=β",
        "upgamma=γ",
        "updelta=δ",
        "triangle=△",
        "square=□",
        "blacksquare=■",
    ]
)
_TEX_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_TEX_COMMAND = re.compile(r"\\([A-Za-z]+)\s*|\\([^A-Za-z])")
_TEX_SPACES = {"quad", "qquad"}


def tex_text(source: str | None) -> str:
    r"""TeX as plain text: symbols as characters, grouping and layout commands left out.

    >>> tex_text(r"E_{86}^{\text {trained}} \pm 2\,\mu"), tex_text(r"\frac{a}{b}")
    ('E86trained±2 μ', 'a/b')
    """
    if not source:
        return ""
    text = re.sub(r"\\(?:begin|end)\s*\{[^{}]*\}|\\(?:mathop|operatorname)\s*\*?", "", source)
    text = re.sub(r"\\(?:text|hbox|mbox|textrm|textit)\s*\{([^{}]*)\}", _keep_spaces, text)
    previous = None
    while previous != text:
        previous, text = text, _TEX_FRACTION.sub(r"\1/\2", text)
    text = re.sub(r"\s+", "", _TEX_COMMAND.sub(_tex_command, text))
    return " ".join(re.sub(r"[{}_^&$]", "", text).replace("\x00", " ").split())


def _keep_spaces(match: re.Match[str]) -> str:
    return match[1].strip().replace(" ", "\x00") if match[1].strip() else "\x00"


def _tex_command(match: re.Match[str]) -> str:
    word, sign = match[1], match[2]
    if word:
        return "\x00" if word in _TEX_SPACES else _TEX_SYMBOLS.get(word, "")
    return "\x00" if sign in ",;: \\" else "" if sign == "!" else sign
