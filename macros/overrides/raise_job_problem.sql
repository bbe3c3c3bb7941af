{#
    Raises what the Python job before it has left: dbt would wrap an exception in the job's traceback.
#}
{% macro raise_job_problem() %}
    {% set problem = run_query("select problem from job_result").columns[0].values()[0] %}
    {% if problem is not none %}
        {% do exceptions.raise_database_error(problem) %}
    {% endif %}
{% endmacro %}


{# The end of every Python job: model() has returned one row with what went wrong, or null. #}
{% macro keep_job_problem() %}
def materialize(df, con):
    con.execute("create or replace temp table job_result as select ? as problem", df.fetchone())
{% endmacro %}
