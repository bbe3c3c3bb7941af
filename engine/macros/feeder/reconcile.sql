{#
    Proves that nothing is missing and nothing is twice: compares, for every stream, what lies in
    the landing zone, what the ledger says, what the files themselves say and what staging has.
    Names every difference and then fails. Changes nothing (lotus_lake/operations/reconcile.py).

        dbt run-operation reconcile
        dbt run-operation reconcile --args '{source: shopify, stream: orders, read_files: false}'

    `read_files: false` leaves out the rows that the files themselves report.
#}
{% macro reconcile(source=none, stream=none, read_files=true) %}
    {% do lotus_lake.start_run() %}
    {% do lotus_lake.operate("reconcile", {"source": source, "stream": stream, "read_files": read_files}) %}
{% endmacro %}
