{#
    Gives each declared stream its cursor row, and keeps its declaration there: the feeder reads it, and
    so does what looks for new files without dbt (lotus_lake/operations/starting.py).
#}
{% macro _declare_streams() %}
    {% set defaults = lotus_lake._values_of([
        "feed_max_files", "feed_max_bytes", "feed_lookback_days", "feed_sweep_hours",
        "feed_list_free_files", "feed_max_depth", "feed_max_columns", "feed_max_ratio",
        "feed_max_value_bytes", "feed_max_seconds",
    ]) %}
    {# The table that a stream is fed into, by the stream. #}
    {% set tables = {} %}
    {% for node in graph.nodes.values() if node.config.materialized == "feed" %}
        {% for source_id in node.depends_on.nodes %}
            {% do tables.update({source_id: [node.database, node.schema, node.alias] | join(".")}) %}
        {% endfor %}
    {% endfor %}
    {% set sources = [] %}
    {% for source in lotus_lake._declared_streams() if source.unique_id in tables %}
        {% set node = {} %}
        {% for key in ["source_name", "name", "freshness"] %}
            {% do node.update({key: source[key]}) %}
        {% endfor %}
        {% do node.update({"columns": {}, "config": {"meta": {"feeder": source.config.meta.feeder}}}) %}
        {% for name, column in source.columns.items() %}
            {% do node["columns"].update({name: {
                "name": column.name, "data_type": column.data_type, "meta": column.meta, "config": {"meta": column.config.meta},
            }}) %}
        {% endfor %}
        {% do sources.append({"node": node, "table": tables[source.unique_id]}) %}
    {% endfor %}
    {% do lotus_lake._operate("declare_streams", {"sources": sources, "defaults": defaults}) %}
{% endmacro %}
