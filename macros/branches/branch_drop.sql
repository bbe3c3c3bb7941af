{#
    Drops a branch, or all that are at least so many days old, with the files that they wrote. The
    lake's own files are not among them.

        dbt run-operation branch_drop --args '{name: new_discounts}'
        dbt run-operation branch_drop --args '{older_than: 14}'
#}
{% macro branch_drop(name=none, older_than=none) %}
    {% if (name is none) == (older_than is none) %}
        {{ exceptions.raise_compiler_error("Say which: name, or older_than with a number of days.") }}
    {% endif %}
    {% set names = [name] %}
    {% if older_than is none %}
        {% do lotus_lake._check_argument("name", name, "text") %}
    {% else %}
        {% do lotus_lake._check_argument("older_than", older_than, "days") %}
        {% set names = lotus_lake._branches() | selectattr("days", "ge", older_than | int) | map(attribute="name") | list %}
    {% endif %}
    {% for one in names %}
        {% set found = run_query("select drop_branch('" ~ (one | string | replace("'", "''")) ~ "')") %}
        {% set problem = found.columns[0].values()[0] %}
        {% if problem is not none %}
            {{ exceptions.raise_compiler_error(problem) }}
        {% endif %}
        {% do log("Branch " ~ one ~ " is dropped.", info=true) %}
    {% endfor %}
    {% if not names %}
        {% do log("No branch is " ~ older_than ~ " days old. Nothing was dropped.", info=true) %}
    {% endif %}
{% endmacro %}
