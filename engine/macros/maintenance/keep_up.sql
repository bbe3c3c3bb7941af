{#
    At the end of a build that wrote something: what `lake maintain` does, in small steps, where there is
    enough to do, so that what a build costs does not grow with the builds before it. The build is done by then, so what
    goes wrong is said, and tried again by the next one.
#}
{% macro keep_up() %}
    {% if execute and flags.WHICH in ["run", "build"] and target.name != "pr" and run_query(
        "from ducklake_last_committed_snapshot('" ~ target.database ~ "')"
    ).columns[0].values()[0] is not none %}
        {% set problem = lotus_lake._problem_of("keep_up", lotus_lake._values_of([
            "history_days", "snapshot_days", "cleanup_delay_days", "maintain_max_files", "branch_hold_days"
        ])) %}
        {% if problem is not none %}
            {% do print("Upkeep stopped, the build is whole: " ~ problem) %}
        {% endif %}
    {% endif %}
{% endmacro %}
