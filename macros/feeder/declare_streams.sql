{#
    Gives each declared stream its cursor row, and puts its declaration where Python models find it: the
    relation of a dbt source, memory.<source>.<stream>, is one row with the declaration as JSON
    (lotus_lake/operations/starting.py).
#}
{% macro declare_streams() %}
    {% set sources = [] %}
    {% for source in declared_streams() %}
        {% set columns = [] %}
        {% for column in source.columns.values() if column.data_type %}
            {% do columns.append({"name": column.name, "type": column.data_type}) %}
        {% endfor %}
        {% set limit = (source.freshness or {}).warn_after or {} %}
        {% do sources.append({
            "source": source.source_name,
            "stream": source.name,
            "schema": source.schema,
            "identifier": source.identifier,
            "columns": columns,
            "feeder": source.config.meta.get("feeder", {}),
            "freshness": {"count": limit["count"], "period": limit["period"] | string} if limit.get("count") else {},
        }) %}
    {% endfor %}
    {% do lotus_lake.operate("declare_streams", {"sources": sources, "defaults": lotus_lake.values_of([
        "feed_max_files", "feed_max_bytes", "feed_lookback_days", "feed_sweep_hours",
        "feed_list_free_files", "feed_max_depth", "feed_max_columns", "feed_max_ratio",
        "feed_max_value_bytes", "feed_max_seconds",
    ])}) %}
{% endmacro %}
