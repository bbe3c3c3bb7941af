{#
    Seeds, snapshots and data tests as dbt runs them, left alone when nothing that they read has changed
    (docs/incremental.md). dbt knows no other name for their materializations, so this one file
    overrides them; without it the lake is the same, and a build with nothing new takes longer.
#}
{% materialization seed, adapter="duckdb" %}
    {{ return(lotus_lake.unless_unchanged("select '" ~ model.checksum.checksum ~ "'", dbt.materialization_seed_default)) }}
{% endmaterialization %}


{% materialization snapshot, adapter="duckdb" %}
    {{ return(lotus_lake.unless_unchanged(model.compiled_code, dbt.materialization_snapshot_default)) }}
{% endmaterialization %}


{% materialization test, adapter="duckdb" %}
    {{ return(lotus_lake.test_unless_unchanged(sql)) }}
{% endmaterialization %}
