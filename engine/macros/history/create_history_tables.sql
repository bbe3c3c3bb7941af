{#
    What runs leave behind, in schema meta: one row for each invocation, one for each of its nodes.
    Like everything in meta, the rows of a run live in the catalog until maintenance flushes them.
#}
{% macro create_history_tables() %}
    {% set meta = target.database ~ ".meta" %}
    {# The newest column of all: a lake that has it has the rest. #}
    {% set found = run_query(
        "select count(*) from duckdb_columns() where database_name = '" ~ target.database ~ "'
        and schema_name = 'meta' and table_name = 'invocations' and column_name = 'snapshot_id'"
    ) %}
    {% if found.columns[0].values()[0] == 1 %}
        {{ return("") }}
    {% endif %}
    {% do run_query("
        begin;
        create table if not exists " ~ meta ~ ".invocations (
            invocation_id varchar not null,
            tick_id varchar,
            command varchar not null,
            target varchar not null,
            code_version varchar,
            started_at timestamptz not null,
            finished_at timestamptz not null,
            status varchar not null,
            error_count bigint not null,
            warn_count bigint not null,
            built_count bigint not null,
            rows_affected bigint not null,
            code_digest varchar,
            snapshot_id bigint
        );
        alter table " ~ meta ~ ".invocations add column if not exists code_digest varchar;
        alter table " ~ meta ~ ".invocations add column if not exists snapshot_id bigint;
        create table if not exists " ~ meta ~ ".node_results (
            invocation_id varchar not null,
            node varchar not null,
            resource_type varchar not null,
            status varchar not null,
            execution_seconds double not null,
            rows_affected bigint,
            failures bigint,
            message varchar,
            finished_at timestamptz not null
        );
        commit;
    ") %}
{% endmacro %}
