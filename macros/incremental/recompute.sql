{#
    Which keys of this model have to be computed again. The block's SQL selects them, in one column
    named like `key`, from the changed rows of the inputs: `changed.<table>` has every row that was
    inserted into or deleted from an input since this model last read it (an update is both).

        {% call(changed) recompute('order_id', [ref('int_shopify__orders')]) %}
            select order_id from {{ changed.int_shopify__orders }}
        {% endcall %}

        select ... from {{ ref('int_shopify__orders') }} where {{ to_recompute('order_id') }}

    The model's SQL has to give the whole, final rows of these keys from the inputs' whole state,
    never from the changed rows alone. Whatever the table has of a key that no longer gives rows is
    deleted. In a full build the block is only checked, and every key is computed.
#}
{% macro recompute(key, inputs) %}
    {% set names = inputs | map(attribute="identifier") | list %}
    {% set plan = build_plan(key, names) %}
    {% set changed = {} %}
    {% for input in inputs %}
        {% set name = input.identifier %}
        {% if plan.mode == "delta" and plan.positions[name] < plan.snapshot %}
            {% do changed.update({name: "ducklake_table_changes('" ~ input.database ~ "', '" ~ input.schema
                ~ "', '" ~ name ~ "', " ~ (plan.positions[name] + 1) ~ ", " ~ plan.snapshot ~ ")"}) %}
        {% else %}
            {% do changed.update({name: "(select * from " ~ input ~ " where false)"}) %}
        {% endif %}
    {% endfor %}
    {% set keys_sql = caller(changed) %}
    {#- A full build needs no keys, but DuckDB reads the block: a wrong name fails here already. -#}
    {% if plan.mode != "skip" and "snapshot" in plan %}
        {% do run_query(
            "create or replace table memory.main.recompute__" ~ this.identifier ~ " as "
            ~ "select distinct " ~ key ~ " from (" ~ keys_sql ~ ") where " ~ key ~ " is not null"
            ~ (" limit 0" if plan.mode == "full" else "")
        ) %}
    {% endif %}
{% endmacro %}
