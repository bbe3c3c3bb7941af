{#
    An input whose changes this model follows by a key: the input's column that holds the model's
    `unique_key`.

        {{ '{{' }} config(unique_key='order_id') {{ '}}' }}

        select ... from {{ '{{' }} follow(ref('int_shop__orders'), 'order_id') {{ '}}' }}

    When rows of the input change, only their keys are computed again, from the rows of these keys in
    all inputs that are followed (docs/incremental.md). So no row of the model may depend on rows of
    a followed input that have another key. A change of an input that is read in another way computes
    the whole model.

    The text is the same in every run; the comment is what _of_changed_keys() finds.
#}
{% macro follow(input, column) -%}
    (select * from {{ lotus_lake._followed_rows(input, column) }})
{%- endmacro %}


{# For what stands between `from` and further conditions. #}
{% macro _followed_rows(input, column) -%}
    {{ input }} where true /* followed by {{ column }} */
{%- endmacro %}


{% macro _followed_pattern() %}
    {{ return('("[^"]+"\\."[^"]+"\\."([^"]+)") where true /\\* followed by (\\w+) \\*/') }}
{% endmacro %}


{#
    The inputs that a model's SQL follows: a list of (relation, name, column). One that it also reads
    in another way is not among them.
#}
{% macro _followed_inputs(sql) %}
    {% set pattern = lotus_lake._followed_pattern() %}
    {% set rest = modules.re.sub(pattern, "", sql) %}
    {% set followed = [] %}
    {% for relation, name, column in modules.re.findall(pattern, sql) %}
        {% if relation not in rest and (relation, name, column) not in followed %}
            {% do followed.append((relation, name, column)) %}
        {% endif %}
    {% endfor %}
    {{ return(followed) }}
{% endmacro %}


{# A model's SQL for the keys in the temporary table changed_keys alone. #}
{% macro _of_changed_keys(sql) %}
    {{ return(modules.re.sub(lotus_lake._followed_pattern(), "\\1 where \\3 in (from changed_keys)", sql)) }}
{% endmacro %}
