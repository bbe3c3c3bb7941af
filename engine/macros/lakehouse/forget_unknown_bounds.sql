{#
    Takes from DuckLake's statistics the columns whose least value it does not know.

    It writes "none" for a column without values, but also when the first file or row group of a
    commit has no value and a later one has. The next commit takes "none" for "no value", and keeps
    its own least and greatest as the table's: DuckDB then computes, and leaves out, by bounds that
    are wrong. A column without statistics stays without: nothing is assumed of it
    (docs/decisions/0013). What is wrong could only come about by the run that follows, so the
    beginning of each run is early enough.
#}
{% macro forget_unknown_bounds() %}
    {% set unknown = "__ducklake_metadata_" ~ target.database ~ ".ducklake_table_column_stats where min_value is null" %}
    {% if run_query("select count(*) from " ~ unknown).columns[0].values()[0] > 0 %}
        {% do run_query("delete from " ~ unknown) %}
    {% endif %}
{% endmacro %}
