{#
    An e-mail as it is compared: lower case, without the white space around it; null when empty.
    The white space is all that Unicode knows, which trim() alone does not take away.
#}
{% macro comparable_email(expression) -%}
    {%- set white_space -%} [\s\x0b\x1c-\x1f\x{85}\pZ]+ {%- endset -%}
    nullif(lower(
        regexp_replace({{ expression }}, '^{{ white_space }}|{{ white_space }}$', '', 'g')
    ), '')
{%- endmacro %}
