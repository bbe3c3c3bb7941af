{#
    A Python job that runs statements in one transaction, and again when another run was faster. Jinja
    cannot catch an error, so a materialization that writes calls this in a `statement` with
    `language="python"` (dbt allows it nowhere else), and raise_job_problem() after it.
#}
{% macro transaction_job(sql) %}
from lotus_lake.races import commit


class dbtObj:
    def __init__(self, load):
        pass


def model(dbt, session):
    return session.sql("select ? as problem", params=[commit(session, {{ tojson(sql) }})])

{{ lotus_lake.keep_job_problem() }}
{% endmacro %}
