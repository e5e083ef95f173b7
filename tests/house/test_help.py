"""`--help` of every command on a terminal of 80 columns: whole lines, and no word that is cut or broken."""

from __future__ import annotations

import pytest
import typer
import typer.main
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.testing import CliRunner

import indexer.__main__
import service.__main__
import training.__main__

APPS = {"indexer": indexer.__main__.app, "service": service.__main__.app, "training": training.__main__.app}


def commands(program: str) -> dict[str, TyperCommand]:
    group = typer.main.get_command(APPS[program])
    assert isinstance(group, TyperGroup)
    return {name: one for name, one in group.commands.items() if isinstance(one, TyperCommand)}


def shown(program: str, *words: str) -> str:
    ran = CliRunner().invoke(
        APPS[program], [*words, "--help"], prog_name=f"python -m {program}", env={"COLUMNS": "80"}
    )
    assert ran.exit_code == 0
    assert max(map(len, ran.stdout.splitlines())) <= 80
    return ran.stdout


def squeezed(text: str | None) -> str:
    return " ".join((text or "").split())


@pytest.mark.parametrize(
    ("program", "name"), [(program, name) for program in APPS for name in commands(program)]
)
def test_all_that_a_command_says_of_itself_is_there_unbroken(program: str, name: str) -> None:
    command = commands(program)[name]
    said = squeezed(shown(program, name))
    assert "…" not in said
    assert squeezed(command.help) in said
    for parameter in command.params:
        assert isinstance(parameter, TyperOption | TyperArgument)
        assert squeezed(parameter.help) in said, parameter.name
        assert all(option in said for option in parameter.opts if option.startswith("-"))
        assert parameter.envvar is None or str(parameter.envvar) in said


@pytest.mark.parametrize("program", ["indexer", "training"])
def test_the_list_of_commands_says_what_each_is_for_in_a_whole_sentence(program: str) -> None:
    listed = shown(program).partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == list(commands(program))
    assert [line for line in listed if not line.endswith(".") or line.endswith("...")] == []


def test_the_service_goes_by_its_name_alone_and_its_other_commands_by_theirs() -> None:
    assert shown("service").startswith("Usage: python -m service [OPTIONS]\n")
    assert shown("service", "key").startswith("Usage: python -m service key [OPTIONS]\n")
    wrong = CliRunner().invoke(APPS["service"], ["--nonsense"], prog_name="python -m service")
    assert "Try 'python -m service --help' for help." in wrong.stderr
