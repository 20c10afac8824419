"""`biomedica teach`: labels of paragraphs from the teacher that the settings name, and what is learnt from them."""

from __future__ import annotations

import click

from biomedica_assets.cli.common import explained, open_store


@click.command()
@click.option("--again", is_flag=True, help="Ask once more about paragraphs whose answers could not be used.")
def teach(again: bool) -> None:
    """Gather labels of paragraphs, and fit the store's classifier when there are enough.

    The teacher is BIOMEDICA_TEACHER_URL and _MODEL (any OpenAI-compatible endpoint), the file BIOMEDICA_TEACHER_LABELS,
    or both. Every answer is kept at once: stop it when you like, and start it again. The exit status is 1 when the
    endpoint stopped answering. Then build: chunks are labelled anew.
    """
    from biomedica_assets.quality.collect import collect_teacher_labels
    from biomedica_assets.quality.training import ensure_quality_model
    from biomedica_assets.settings import Settings

    settings, files = Settings(), open_store()
    with explained(ValueError, ImportError):
        if not (settings.teacher_url or settings.teacher_labels):
            click.echo(
                "no teacher is named: set BIOMEDICA_TEACHER_URL and _MODEL, or BIOMEDICA_TEACHER_LABELS", err=True
            )
        done = collect_teacher_labels(files, settings, again=again, scratch=settings.scratch or None, log=_say)
        record, changed = ensure_quality_model(files, log=_say)
    for failure in done.failures[:20]:
        click.echo(f"{failure['object']}: {failure['error']}: {failure['message']}", err=True)
    click.echo(
        f"{done.asked} answers, {done.failed} of them unusable, {done.held} held before, {done.unanswered} paragraphs "
        f"without one; {done.tokens:,} tokens in all"
    )
    own = "the store's own" if record.made_of else "shipped with the software"
    click.echo(f"quality model {record.id}, {own}{', new' if changed else ''}")
    if done.unresolved:
        click.echo(f"{done.unresolved} labels are of texts that no current paragraph has", err=True)
    if done.stopped:
        click.echo(f"stopped: {done.stopped}", err=True)
        raise SystemExit(int(done.unanswered > 0))


def _say(text: str) -> None:
    click.echo(text, err=True)
