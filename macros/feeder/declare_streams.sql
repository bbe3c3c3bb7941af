{#
    Gives each declared stream its cursor row, and puts its declaration where Python models find it:
    the relation of a dbt source, memory.<source>.<stream>, is one row with the declaration as JSON.
#}
{% macro declare_streams() %}
    {% set streams = graph.sources.values() | selectattr("package_name", "equalto", "lotus_lake") | list %}
    {% for schema in streams | map(attribute="schema") | unique %}
        {% do run_query("create schema if not exists memory." ~ schema) %}
    {% endfor %}
    {% set statements = [] %}
    {% set rows = [] %}
    {% set checks = [] %}
    {% for stream in streams %}
        {% set columns = [] %}
        {% for column in stream.columns.values() if column.data_type %}
            {% do columns.append({"name": column.name, "type": column.data_type}) %}
        {% endfor %}
        {% set declaration = {
            "source": stream.source_name,
            "stream": stream.name,
            "table": target.database ~ ".staging.stg_" ~ stream.source_name ~ "__" ~ stream.name,
            "columns": columns,
        } %}
        {% for name in ["feed_max_files", "feed_max_bytes", "feed_lookback_days", "feed_sweep_hours",
                        "feed_list_free_files"] %}
            {% do declaration.update({name: var(name)}) %}
        {% endfor %}
        {% do declaration.update(stream.config.meta.get("feeder", {})) %}
        {% set text = "'" ~ (tojson(declaration) | replace("'", "''")) ~ "'" %}
        {% do checks.append("declaration_problem(" ~ text ~ ")") %}
        {% do statements.append(
            "create or replace table memory." ~ stream.schema ~ "." ~ stream.identifier ~ " as select "
            ~ text ~ " as declaration"
        ) %}
        {% do rows.append("('" ~ stream.source_name ~ "', '" ~ stream.name ~ "')") %}
    {% endfor %}
    {% if statements %}
        {% set problem = run_query("select coalesce(" ~ checks | join(", ") ~ ", null)") %}
        {% if problem.columns[0].values()[0] is not none %}
            {{ exceptions.raise_compiler_error(problem.columns[0].values()[0]) }}
        {% endif %}
        {% do run_query(statements | join(";\n")) %}
        {% set missing = run_query(lotus_lake._undeclared_cursors_sql(rows)) %}
        {% if missing | length > 0 %}
            {% do run_query(
                "insert into " ~ target.database ~ ".meta.feeder_cursors
                " ~ lotus_lake._undeclared_cursors_sql(rows)
            ) %}
        {% endif %}
    {% endif %}
{% endmacro %}


{% macro _undeclared_cursors_sql(rows) %}
    select source, stream, null, 0, 0, 0, 0, 0, 0, null, null
    from (values {{ rows | join(", ") }}) as declared (source, stream)
    anti join {{ target.database }}.meta.feeder_cursors using (source, stream)
{% endmacro %}
