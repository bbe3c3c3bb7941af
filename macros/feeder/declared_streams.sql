{#
    The streams that the project declares: its sources whose relation is their declaration, as against
    source `meta`, which is the lake's own tables.
#}
{% macro declared_streams() %}
    {{ return(
        graph.sources.values() | selectattr("package_name", "equalto", "lotus_lake")
        | selectattr("database", "equalto", "memory") | list
    ) }}
{% endmacro %}
