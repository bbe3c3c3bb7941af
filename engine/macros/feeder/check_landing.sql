{#
    Stops the run when the landing zone cannot be read, and warns of stream folders that no source
    declares: files land there that nobody feeds.
#}
{% macro check_landing() %}
    {% do lotus_lake.operate("check_landing") %}
{% endmacro %}
