{#
    The materialization of the models in landing/: lotus_lake.feeder feeds a stream in transactions of
    its own, so there is nothing left to write here. model() gives one row with what went wrong, or
    null, which is raised here: dbt would wrap an exception in the traceback of the Python model.
#}
{% materialization feed, adapter="duckdb", supported_languages=["python"] %}
    {% set relation = this.incorporate(type="table") %}
    {{ run_hooks(pre_hooks) }}
    {% call statement("main", language="python") %}
{{ compiled_code }}


def materialize(df, con):
    con.execute("create or replace temp table feed_result as select ? as problem", df.fetchone())
    {% endcall %}
    {% do lotus_lake.raise_problem(run_query("select problem from feed_result").columns[0].values()[0]) %}
    {{ run_hooks(post_hooks) }}
    {% do adapter.commit() %}
    {{ return({"relations": [relation]}) }}
{% endmaterialization %}
