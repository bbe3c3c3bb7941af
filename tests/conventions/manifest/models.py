"""Conventions of models that dbt-bouncer has no check for. dbt-bouncer.yml says what to do."""

from dbt_bouncer.check_framework.decorator import check, fail


@check
def check_model_folder_is_its_source(model):
    """`stg_shopify__orders` lies in a folder `shopify`."""
    folder = model.original_file_path.split("/")[-2]
    source = model.name.split("__")[0].partition("_")[2]
    if folder != source:
        fail(f"`{model.name}` is in the folder `{folder}`, but its name says `{source}`.")


@check
def check_model_key_is_not_null(model, ctx):
    """A column that is unique is never null; of several that are unique together, one is not."""
    keys, filled = [], set()
    for test in ctx.tests_by_attached_node.get(model.unique_id, []):
        kind = test.test_metadata.name if test.test_metadata else None
        if kind == "unique":
            keys.append([test.column_name])
        elif kind == "unique_combination":
            keys.append(list(test.test_metadata.kwargs["columns"]))
        elif kind == "not_null":
            filled.add(test.column_name)
    for columns in keys:
        if not filled.intersection(columns):
            fail(f"`{model.name}` has the key {columns}, which may be null.")
