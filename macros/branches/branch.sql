{#
    Makes a branch of the whole lake: a writable copy of its catalog over the same data files.

        dbt run-operation branch --args '{name: new_discounts}'

    Target `pr` builds on it, with LAKE_BRANCH naming it (docs/branches.md).
#}
{% macro branch(name) %}
    {% do lotus_lake._check_argument("name", name, "text") %}
    {% set started = modules.datetime.datetime.now() %}
    {% set found = run_query("select create_branch('" ~ (name | string | replace("'", "''")) ~ "')") %}
    {% set problem = found.columns[0].values()[0] %}
    {% if problem is not none %}
        {{ exceptions.raise_compiler_error(problem) }}
    {% endif %}
    {% set seconds = (modules.datetime.datetime.now() - started).total_seconds() %}
    {% set made = lotus_lake._branches()[-1] %}
    {% do log(
        "Branch " ~ made.name ~ " of snapshot " ~ made.base_snapshot ~ ", made in "
        ~ "{:.1f}".format(seconds) ~ " s. Build on it: DBT_TARGET=pr LAKE_BRANCH=" ~ made.name ~ " dbt build",
        info=true
    ) %}
{% endmacro %}


{# The lake's branches, oldest first, with their age in days. Names what lies among them and is none. #}
{% macro _branches() %}
    {% set found = run_query(
        "select name, base_snapshot, created_at::varchar as created_at, created_by, problem,
            floor(epoch(now() - created_at) / 86400)::bigint as days
        from (select unnest(lake_branches(''), max_depth => 2))
        order by created_at, name"
    ) %}
    {% set made = [] %}
    {% for row in found.rows if row["problem"] %}
        {% do log("WARNING " ~ row["problem"], info=true) %}
    {% endfor %}
    {% for row in found.rows if not row["problem"] %}
        {% do made.append({
            "name": row["name"],
            "base_snapshot": row["base_snapshot"] | int,
            "created_at": row["created_at"],
            "created_by": row["created_by"],
            "days": row["days"] | int,
        }) %}
    {% endfor %}
    {{ return(made) }}
{% endmacro %}
