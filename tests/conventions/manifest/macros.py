"""Conventions of macros that dbt-bouncer has no check for. dbt-bouncer.yml says what to do."""

import re
from pathlib import Path

from dbt_bouncer.check_framework.decorator import check, fail


@check
def check_public_macro_is_documented(macro):
    """A macro that others may call says what it does and what it takes, in its folder's YAML."""
    if macro.name.startswith("_"):
        return
    folder = Path(macro.original_file_path).parent
    expected = f"{folder}/_{folder.name}__macros.yml"
    if not macro.patch_path or not (macro.description or "").strip():
        fail(f"`{macro.name}` has no description in {expected}.")
    if macro.patch_path.partition("://")[2] != expected:
        fail(f"`{macro.name}` is described in {macro.patch_path}, not in {expected}.")
    declared = re.search(rf"macro {macro.name}\(([^)]*)\)", macro.macro_sql)
    if not declared:  # a materialization has no arguments
        return
    arguments = [one.split("=")[0].strip() for one in declared[1].split(",") if one.strip()]
    described = [one.name for one in macro.arguments if one.type and one.description]
    if described != arguments:
        fail(f"`{macro.name}` takes {arguments}, but its YAML describes {described}.")


@check
def check_public_macro_has_its_own_file(macro):
    """One public macro per file, with the file's name."""
    if not macro.name.startswith("_") and macro.name != Path(macro.original_file_path).stem:
        fail(f"`{macro.name}` is in {macro.original_file_path}.")
