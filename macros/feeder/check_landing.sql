{#
    Stops the run when the landing zone cannot be read, and warns of stream folders that no source
    declares: files land there that nobody feeds.
#}
{% macro check_landing() %}
    {% set problem = run_query("select landing_problem('')").columns[0].values()[0] %}
    {% if problem is not none %}
        {{ exceptions.raise_compiler_error(problem) }}
    {% endif %}
    {% set declared = [] %}
    {% for stream in declared_streams() %}
        {% do declared.append(stream.source_name ~ "/" ~ stream.name) %}
    {% endfor %}
    {% set found = run_query(
        "select source || '/' || stream from (select unnest(landing_streams(''), recursive := true))"
    ) %}
    {% for folder in found.columns[0].values() if folder not in declared %}
        {% do exceptions.warn(
            "Files land in " ~ lotus_lake.printable(folder) ~ ", but no source declares that stream, so nothing feeds "
            ~ "them. Declare it in models/landing (CONTRIBUTING, 'Add a stream') or remove the folder."
        ) %}
    {% endfor %}
{% endmacro %}
