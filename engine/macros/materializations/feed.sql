{#
    The materialization of a staging model, whose model() returns the dbt source that it feeds.

    lotus_lake.feeder feeds the stream in transactions of its own, so there is nothing left to write
    here. What went wrong is raised here: dbt would wrap an exception in the traceback of the Python
    model.
#}
{% materialization feed, adapter="duckdb", supported_languages=["python"] %}
    {% set relation = this.incorporate(type="table") %}
    {% if model.sources | length != 1 %}
        {% do exceptions.raise_compiler_error(model.name ~ " feeds one stream: return dbt.source(...) of one source.") %}
    {% endif %}
    {{ run_hooks(pre_hooks) }}
    {% call statement("main", language="python") %}
{{ compiled_code }}


def materialize(df, con):
    from lotus_lake.feeder import feed
    problem = feed(con, "{{ model.sources[0][0] }}", "{{ model.sources[0][1] }}")
    con.execute("create or replace temp table feed_result as select ? as problem", [problem])
    {% endcall %}
    {% do lotus_lake._raise_problem(run_query("select problem from feed_result").columns[0].values()[0]) %}
    {{ run_hooks(post_hooks) }}
    {% do adapter.commit() %}
    {{ return({"relations": [relation]}) }}
{% endmaterialization %}
