{#
    Gives each declared stream its cursor row, and puts its declaration where Python models find it:
    the relation of a dbt source, memory.<source>.<stream>, is one row with the declaration as JSON.
    The cursor row keeps it too, for the scheduler, which looks for new files without dbt.
#}
{% macro declare_streams() %}
    {% set streams = declared_streams() %}
    {% for schema in streams | map(attribute="schema") | unique %}
        {% do run_query("create schema if not exists memory." ~ schema) %}
    {% endfor %}
    {% set statements = [] %}
    {% set rows = [] %}
    {% set checks = [] %}
    {% for stream in streams %}
        {% set feeder = stream.config.meta.get("feeder", {}) %}
        {% set own = ["source", "stream", "name", "table", "columns", "freshness_hours"] %}
        {% set taken = own | select("in", feeder) | list if feeder is mapping else [] %}
        {% if feeder is not mapping or taken %}
            {{ exceptions.raise_compiler_error(
                "Stream " ~ stream.source_name ~ "." ~ stream.name ~ ": "
                ~ ("'" ~ taken[0] ~ "' under meta.feeder is not a setting" if taken
                   else "meta.feeder is '" ~ feeder ~ "'; it has to be a mapping, such as {sync_mode: append}")
                ~ ". Known settings are listed in docs/feeder.md."
            ) }}
        {% endif %}
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
                        "feed_list_free_files", "feed_max_depth", "feed_max_columns", "feed_max_ratio",
                        "feed_max_value_bytes", "feed_max_seconds"] %}
            {% do declaration.update({name: var(name)}) %}
        {% endfor %}
        {% do declaration.update(feeder) %}
        {% set limit = (stream.freshness or {}).warn_after or {} %}
        {% if limit.get("count") %}
            {% set hours = {"minute": 1 / 60, "hour": 1, "day": 24}[limit["period"] | string] %}
            {% do declaration.update({"freshness_hours": limit["count"] * hours}) %}
        {% endif %}
        {% set text = "'" ~ (tojson(declaration) | replace("'", "''")) ~ "'" %}
        {# Without || the first eight letters of a function's text are lost in coalesce(). #}
        {% do checks.append("declaration_problem(" ~ text ~ ") || ''") %}
        {% do statements.append(
            "create or replace table memory." ~ stream.schema ~ "." ~ stream.identifier ~ " as select "
            ~ text ~ " as declaration"
        ) %}
        {% do rows.append("('" ~ stream.source_name ~ "', '" ~ stream.name ~ "', " ~ text ~ ")") %}
    {% endfor %}
    {% if statements %}
        {% set problem = run_query("select coalesce(" ~ checks | join(", ") ~ ", null)") %}
        {% if problem.columns[0].values()[0] is not none %}
            {{ exceptions.raise_compiler_error(problem.columns[0].values()[0]) }}
        {% endif %}
        {% do run_query(statements | join(";\n")) %}
        {% set declared = "(values " ~ rows | join(", ") ~ ") as declared (source, stream, declaration)" %}
        {% set cursors = target.database ~ ".meta.feeder_cursors" %}
        {% set news = run_query(
            "select count(*), count(cursors.source), (select count(*) from " ~ cursors ~ " anti join "
            ~ declared ~ " using (source, stream) where declaration is not null) from " ~ declared ~ " left join " ~ cursors
            ~ " as cursors using (source, stream) where cursors.declaration is distinct from"
            ~ " declared.declaration"
        ).rows[0] %}
        {% if news[0] > news[1] %}
            {# Of two first runs only one may commit: DuckLake compares what both alter, not what both insert. #}
            {% do run_query(
                "begin; comment on table " ~ cursors ~ " is 'One row for each declared stream.';"
                ~ "insert into " ~ cursors ~ " select source, stream, null, 0, 0, 0, 0, 0, 0, null, null,"
                ~ " declaration from " ~ declared ~ " anti join " ~ cursors ~ " using (source, stream);"
                ~ "commit"
            ) %}
        {% endif %}
        {% if news[1] > 0 %}
            {% do run_query(
                "update " ~ cursors ~ " as cursors set declaration = declared.declaration from "
                ~ declared ~ " where cursors.source = declared.source"
                ~ " and cursors.stream = declared.stream"
                ~ " and cursors.declaration is distinct from declared.declaration"
            ) %}
        {% endif %}
        {% if news[2] > 0 %}
            {% do run_query(
                "update " ~ cursors ~ " set declaration = null where (source, stream) not in"
                ~ " (select (source, stream) from " ~ declared ~ ")"
            ) %}
        {% endif %}
    {% endif %}
{% endmacro %}
