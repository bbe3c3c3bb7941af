{#
    Lists the lake's branches, oldest first, and which of them hold back clean-up no longer.

        dbt run-operation branch_list
#}
{% macro branch_list() %}
    {% set line = "{:<42}{:>10}  {:<20}{:>6}  {:<20}{}" %}
    {% do log(line.format("branch", "snapshot", "made at (UTC)", "days", "by", ""), info=true) %}
    {% set found = lotus_lake._branches() %}
    {% for made in found %}
        {% do log(lotus_lake.printable(line.format(
            made.name, made.base_snapshot, made.created_at[:19], made.days, made.created_by[:19],
            "stale: clean-up does not wait for it" if made.days >= var("branch_hold_days") else ""
        )), info=true) %}
    {% endfor %}
    {% do log(found | length ~ " branches. Drop one: make branch-drop NAME=...; old ones: make branch-drop OLDER_THAN=14", info=true) %}
{% endmacro %}
