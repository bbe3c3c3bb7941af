{#
    A model's schema is the one its layer names (staging, main, meta, ...), without the target's
    prefix: the lake's names are a contract with everyone who queries it.
#}
{% macro generate_schema_name(custom_schema_name=none, node=none) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
