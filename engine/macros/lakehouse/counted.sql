{# A number with its noun, which agrees with it; lotus_lake/wording.py does the same. #}
{% macro counted(number, noun) %}
    {{ return("{:,d} {}".format(number, noun ~ ("" if number == 1 else "s"))) }}
{% endmacro %}
