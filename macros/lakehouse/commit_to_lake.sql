{#
    Runs statements in one transaction of the lake, again from its begin when another run was faster.
    They run on a connection of their own (lotus_lake/functions.py), because Jinja cannot catch the
    error of a lost race.
#}
{% macro commit_to_lake(statements) %}
    {% do write(statements) %}
    {% do lotus_lake.raise_problem(run_query(
        "select commit_to_lake(sql) from (values ('" ~ statements | replace("'", "''") ~ "')) as statements (sql)"
    ).columns[0].values()[0]) %}
{% endmacro %}
