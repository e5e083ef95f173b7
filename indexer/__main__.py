"""`python -m indexer`: build an index from a bundle and media, and look after its generations.

Status: 0 done, 1 failed, 2 wrong usage. Results go to stdout, all else to stderr. Only wiring: the libraries
come in when a command needs them, so that `doctor` runs where they are missing or broken.
"""

from __future__ import annotations

from indexer import interrupt

if __name__ == "__main__":
    interrupt.end_silently()

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from indexer.console import failing_in_one_sentence, open_progress

# Plain help is readable at any width; in boxes of 80 columns long names were cut.
app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)

IndexOption = Annotated[Path, typer.Option("--index", help="The index directory.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
GenerationHelp = "An id as `list` gives it, or newest or current"
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
KindName = Literal["flat"]
EngineName = Literal["local"]
ProviderName = Literal["auto", "cpu", "cuda"]


@app.callback()
def begin() -> None:
    """Turn media into an index of the joint space, and look after its generations."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)


@app.command("build")
def build_command(
    bundle: Annotated[Path, typer.Option("--bundle", help="The model bundle.")],
    index: IndexOption,
    images: Annotated[Path | None, typer.Option(help="Images: a folder, or a .jsonl file.")] = None,
    captions: Annotated[Path | None, typer.Option(help="Spoken captions, likewise.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="KEY=VALUE, such as split=test: of .jsonl files only the lines whose metadata say so. "
            "Repeatable: values of one key are alternatives, all keys must agree."
        ),
    ] = None,
    promote: Annotated[bool, typer.Option("--promote", help="Serve the new generation at once.")] = False,
    make_map: Annotated[
        bool | None,
        typer.Option(
            "--map/--no-map",
            help="A map of the joint space for the web page; made where the extra `map` is installed, "
            "if not said.",
        ),
    ] = None,
    kind: Annotated[KindName, typer.Option(help="The kind of index; flat is exact.")] = "flat",
    vectors: Annotated[
        str,
        typer.Option(
            metavar="WHERE",
            help="Where vectors live: faiss (files in the index) or milvus://HOST:PORT (with TLS "
            "milvus+https://HOST:PORT; the variable SAYSEE_MILVUS_TOKEN holds its token).",
        ),
    ] = "faiss",
    engine: Annotated[EngineName, typer.Option(help="Where embedding runs.")] = "local",
    provider: Annotated[ProviderName, typer.Option(help="What the encoder runs on.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="All usable cores if not given.")] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Embed images and spoken captions into a new generation.

    Only what is new is embedded; a build that was stopped goes on where it stopped when it is run again.
    """
    selected = _selected(only)
    if images is None and captions is None:
        raise typer.BadParameter("name --images, --captions or both", param_hint="--images / --captions")
    with failing_in_one_sentence(debug=debug):
        from indexer import commands

        with open_progress() as progress:
            answer = commands.build_index(
                bundle,
                index,
                images=images,
                captions=captions,
                only=selected,
                kind=kind,
                vectors=vectors,
                engine=engine,
                provider=provider,
                threads=threads,
                promote_it=promote,
                map_it=make_map,
                progress=progress,
            )
        _print(answer.result, answer.text, as_json)


@app.command("list")
def list_command(index: IndexOption, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """List the generations, newest first, and mark the one served."""
    with failing_in_one_sentence(debug=debug):
        from indexer import commands

        answer = commands.list_index(index)
        _print(answer.result, answer.text, as_json)


@app.command("show")
def show_command(
    index: IndexOption,
    generation: Annotated[str | None, typer.Argument(help=f"{GenerationHelp}; current if not given.")] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show what a generation holds and how well it finds."""
    with failing_in_one_sentence(debug=debug):
        from indexer import commands

        answer = commands.show(index, generation)
        _print(answer.result, answer.text, as_json)


@app.command("verify")
def verify_command(
    index: IndexOption,
    generation: Annotated[str | None, typer.Argument(help=f"{GenerationHelp}; all if not given.")] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Read all of a generation, open it, ask it; say what is wrong.

    Status 1 when anything is.
    """
    with failing_in_one_sentence(debug=debug):
        from indexer import commands

        answer = commands.verify_index(index, generation)
        _print(answer.result, answer.text, as_json)
    raise typer.Exit(int(answer.failed))


@app.command("promote")
def promote_command(
    index: IndexOption,
    generation: Annotated[str, typer.Argument(help=f"{GenerationHelp}.")],
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Check every digest of a generation and serve it from now on."""
    with failing_in_one_sentence(debug=debug):
        from indexer import commands

        answer = commands.promote_index(index, generation)
        _print(answer.result, answer.text, as_json)


@app.command("rollback")
def rollback_command(index: IndexOption, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Serve again what was promoted before the current generation."""
    with failing_in_one_sentence(debug=debug):
        from indexer import commands

        answer = commands.roll_back(index)
        _print(answer.result, answer.text, as_json)


@app.command("prune")
def prune_command(
    index: IndexOption,
    keep: Annotated[
        int, typer.Option(min=1, help="How many generations stay in all, the current one among them.")
    ] = 3,
    drop_rollback: Annotated[
        bool, typer.Option("--drop-rollback", help="Delete even the one that a rollback returns to.")
    ] = False,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Delete the vectors of models no generation uses, too.")
    ] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Delete all generations but --keep of them.

    The current one stays, the one a rollback returns to, then the newest. Says what was deleted and what
    stays. Refused when only the current one would stay though there is one to roll back to, unless
    --drop-rollback is given.
    """
    with failing_in_one_sentence(debug=debug):
        from indexer import commands

        answer = commands.prune_index(index, keep, drop_rollback=drop_rollback, embeddings=embeddings)
        _print(answer.result, answer.text, as_json)


@app.command("doctor")
def doctor_command(
    bundle: Annotated[Path | None, typer.Option("--bundle", help="A model bundle to check.")] = None,
    index: Annotated[Path | None, typer.Option("--index", help="An index directory to check.")] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Say what is installed and used, what is wrong, and the fix.

    Status 1 when anything is wrong.
    """
    with failing_in_one_sentence(debug=debug):
        from indexer.doctor import examine, told

        findings = examine(bundle=bundle, index=index)
        _print([asdict(one) for one in findings], told(findings), as_json)
    raise typer.Exit(int(any(one.verdict == "wrong" for one in findings)))


def _selected(only: list[str] | None) -> dict[str, list[str]]:
    selected: dict[str, list[str]] = {}
    for condition in only or ():
        key, equals, value = condition.partition("=")
        if not equals or not key:
            raise typer.BadParameter(
                f"wants KEY=VALUE, such as split=test, not {condition!r}", param_hint="--only"
            )
        selected.setdefault(key, []).append(value)
    return selected


def _print(result: Any, text: str, as_json: bool) -> None:
    typer.echo(json.dumps(result, indent=2, ensure_ascii=False) if as_json else text)


if __name__ == "__main__":
    command = typer.main.get_command(app)
    interrupt.be_told()
    command(prog_name="python -m indexer")
