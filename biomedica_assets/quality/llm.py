"""The language model as a teacher: one paragraph, one question to an OpenAI-compatible endpoint, one strict answer.

What does not belong here: which paragraphs it is asked about (`collect`), where answers are kept (`answers`).
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from biomedica_assets.quality.answers import Answer
from biomedica_assets.quality.labels import Label, text_sha256
from biomedica_assets.quality.paragraphs import Context, Paragraph
from biomedica_assets.settings import Settings
from biomedica_assets.store.manifests import StoreError

PROMPT = Path(__file__).with_name("prompt.txt")
SHOWN = 6000
"""Characters of a paragraph that the teacher sees."""
TRIES = 3
"""How often one paragraph is asked about while answers are none that can be used."""
RETRIES = 4
"""Of the client, with growing pauses, when the endpoint is busy, fails or cuts an answer off."""
_MESSAGE = 300
_OPTIONAL = ("response_format", "seed", "temperature", "max_tokens", "max_completion_tokens")


class TeacherUnusableError(StoreError):
    """The endpoint cannot be used as it is set up; the message says what a person must mend."""


class TeacherBusyError(Exception):
    """The endpoint did not answer, though asked again and again; another time it may."""


class BadAnswerError(ValueError):
    """The teacher's answer is none; ``kind`` names the failure, the message says what is wrong with it."""

    def __init__(self, kind: str, message: str, content: str = "", tokens: int = 0) -> None:
        super().__init__(message[:_MESSAGE])
        self.kind, self.content, self.tokens = kind, content, tokens


@cache
def prompt() -> tuple[str, str]:
    """The question, and its version: the beginning of its hash."""
    text = PROMPT.read_text("utf-8")
    return text, f"prompt-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def teacher_id(model: str) -> str:
    """What labels say they are by: model and version of the question."""
    return f"{model}@{prompt()[1]}"


@dataclass
class Pace:
    """Lets ``per_minute`` requests a minute through, evenly, across threads; 0: all."""

    per_minute: float

    def __post_init__(self) -> None:
        self._lock, self._next = threading.Lock(), 0.0

    def wait(self, _: Any = None) -> None:
        """Return when the next request may be sent."""
        if self.per_minute <= 0:
            return
        with self._lock:
            now = time.monotonic()
            due = max(now, self._next)
            self._next = due + 60 / self.per_minute
        time.sleep(due - now)


class LanguageModel:
    """A model behind an endpoint; safe to use from many threads.

    Raises:
        TeacherUnusableError: the package ``openai`` is missing, or no model is named.
    """

    def __init__(self, settings: Settings) -> None:
        try:
            import openai
        except ImportError as error:
            raise TeacherUnusableError(
                "a language model as teacher needs the client: pip install 'biomedica_assets[teacher]'"
            ) from error
        if not settings.teacher_model:
            raise TeacherUnusableError("BIOMEDICA_TEACHER_URL is set, but BIOMEDICA_TEACHER_MODEL names no model")
        self._openai = openai
        self.model, self.id = settings.teacher_model, teacher_id(settings.teacher_model)
        pace = Pace(settings.teacher_rate)
        # Every request waits its turn, the client's own retries included.
        self._client = openai.OpenAI(
            base_url=settings.teacher_url,
            api_key=settings.teacher_key.get_secret_value() or "none",
            timeout=settings.teacher_timeout,
            max_retries=RETRIES,
            http_client=openai.DefaultHttpxClient(event_hooks={"request": [pace.wait]}),
        )
        self._options: dict[str, Any] = {
            "response_format": {"type": "json_object"},
            "temperature": 0,
            "seed": 0,
            "max_tokens": settings.teacher_answer_tokens,
        }

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()

    def ask(self, paragraph_id: str, paragraph: Paragraph, number: int = 0) -> Answer:
        """The teacher's answer, or after `TRIES` that cannot be used the last failure.

        Raises:
            TeacherBusyError: the endpoint does not answer now.
            TeacherUnusableError: it refuses the key, the model, or every form of the question.
        """
        said: dict[str, Any] = {
            "text_sha256": text_sha256(paragraph.text),
            "paragraph_id": paragraph_id,
            "teacher": self.id,
            "number": number,
        }
        messages = [{"role": "system", "content": prompt()[0]}, {"role": "user", "content": question(paragraph)}]
        tokens = 0
        for attempt in range(1, TRIES + 1):
            try:
                label, cost = self._complete(messages)
                return Answer(**said, label=label, tokens=tokens + cost, asked=attempt)
            except BadAnswerError as error:
                fault = error
            tokens += fault.tokens
            if fault.kind == "Rejected":
                break
            if fault.content:
                told = f"That was no usable answer: {fault}. Answer with the JSON object alone."
                said_before = {"role": "assistant", "content": fault.content}
                messages = [*messages[:2], said_before, {"role": "user", "content": told}]
        return Answer(**said, error=fault.kind, message=str(fault), tokens=tokens, asked=attempt)

    def _complete(self, messages: list[Any]) -> tuple[Label, int]:
        """The label, and the tokens that it cost."""
        openai = self._openai
        try:
            completion = self._client.chat.completions.create(model=self.model, messages=messages, **self._options)
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            if self._gives_way(str(error)):
                return self._complete(messages)
            raise BadAnswerError("Rejected", str(error)) from error
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            raise TeacherUnusableError(
                f"the teacher's endpoint refuses model {self.model!r} ({error.status_code}): check "
                f"BIOMEDICA_TEACHER_URL, _MODEL and _KEY. It says: {str(error)[:_MESSAGE]}"
            ) from error
        except (openai.APIConnectionError, openai.APIStatusError) as error:
            raise TeacherBusyError(f"{type(error).__name__}: {error}"[:_MESSAGE]) from error
        except (openai.APIError, ValueError) as error:
            raise BadAnswerError("NoCompletion", f"{type(error).__name__}: {error}") from error
        try:
            choice = completion.choices[0]
            content, reason = choice.message.content or "", choice.finish_reason
            usage = completion.usage
        except (AttributeError, IndexError, TypeError) as error:
            raise BadAnswerError("NoCompletion", f"the endpoint's reply is no completion: {error}") from error
        # Endpoints that do not say what it cost: about four characters are a token.
        tokens = usage.total_tokens if usage else (sum(len(m["content"]) for m in messages) + len(content)) // 4
        if reason == "length":
            raise BadAnswerError("Truncated", "the answer is longer than BIOMEDICA_TEACHER_ANSWER_TOKENS", "", tokens)
        if reason == "content_filter" or not content:
            raise BadAnswerError("Refused", choice.message.refusal or f"no answer ({reason})", "", tokens)
        try:
            return parse(content), tokens
        except BadAnswerError as error:
            raise BadAnswerError(error.kind, str(error), content, tokens) from error

    def _gives_way(self, message: str) -> bool:
        """Drop an option that the endpoint does not know; false when it complains of none of them."""
        for name in _OPTIONAL:
            if name in self._options and name in message:
                value = self._options.pop(name)
                if name == "max_tokens":
                    self._options["max_completion_tokens"] = value
                return True
        return False


def question(paragraph: Paragraph) -> str:
    """What the teacher is told of a paragraph."""
    context = paragraph.context or Context()
    about = {
        "article": context.title,
        "article type": context.article_type,
        "section": " / ".join(context.sections) or None,
    }
    lines = [f"{name}: {value}" for name, value in about.items() if value]
    return "\n".join([*lines, "<paragraph>", paragraph.text[:SHOWN], "</paragraph>"])


def parse(content: str) -> Label:
    """The label in an answer: one JSON object, perhaps behind a model's thoughts or between code marks.

    Raises:
        BadAnswerError: there is none, or it says something else than it was asked.
    """
    text = content.rpartition("</think>")[2]
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        raise BadAnswerError("NoJson", f"no JSON object in {content[:80]!r}")
    try:
        found = json.loads(text[start : end + 1])
        return Label.model_validate(found)
    except json.JSONDecodeError as error:
        raise BadAnswerError("NoJson", f"{error} in {text[start : start + 80]!r}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}" for e in error.errors())
        raise BadAnswerError("WrongLabels", faults) from error
