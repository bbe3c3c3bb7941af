{# The staging models: the tests that watch what lands wait for them. #}
{% macro duckdb__after_feeding() %}
    {% set models = [
        ref("stg_jaffle_shop__customers"),
        ref("stg_jaffle_shop__orders"),
        ref("stg_jaffle_shop__payments"),
    ] %}
{% endmacro %}
