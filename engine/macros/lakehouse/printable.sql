{#
    A line that cannot control the terminal or forge another line: what does not print, in a file's
    name or a column's, is shown as its escape. lotus_lake/escaping.py does the same.
#}
{% macro printable(text) %}
    {% set shown = [] %}
    {% for char in text | string %}
        {% do shown.append(char if char.isprintable() else char.encode("unicode_escape").decode()) %}
    {% endfor %}
    {{ return(shown | join) }}
{% endmacro %}
