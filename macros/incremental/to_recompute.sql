{#
    A condition that is true for the rows whose key has to be computed again: see recompute().
    `column` is the key's column, as it is named where the condition stands.
#}
{% macro to_recompute(column) -%}
    {%- set mode = build_plan().mode -%}
    {%- if mode == "full" -%}
        true
    {%- elif mode == "delta" -%}
        {{ column }} in (from memory.main.recompute__{{ this.identifier }})
    {%- else -%}
        false
    {%- endif -%}
{%- endmacro %}
