"""Conventions of data tests that dbt-bouncer has no check for. dbt-bouncer.yml says what to do."""

from dbt_bouncer.check_framework.decorator import check, fail


@check
def check_test_has_an_owner(test, *, owners: list[str]):
    """A test that warns says who looks at it."""
    owner = (test.config.meta or {}).get("owner")
    if owner not in owners:
        fail(f"`{test.name}` has the owner {owner}; known are {', '.join(owners)}.")


@check
def check_watching_test_has_a_message(test):
    """The rows of a singular test that watches the data say in a `message` what is wrong."""
    if (
        "watching" in test.config.tags
        and test.original_file_path.endswith(".sql")
        and " as message" not in test.raw_code
    ):
        fail(f"`{test.name}` selects no column `message`.")
