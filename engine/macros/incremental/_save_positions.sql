{# The statements that record what a node has read, for the transaction that writes the node. #}
{% macro _save_positions(plan, cursors=none) %}
    {% set cursors = cursors or this.database ~ ".meta.model_cursors" %}
    delete from {{ cursors }} where model = '{{ this.identifier }}';
    insert into {{ cursors }}
        (model, upstream, upstream_uuid, snapshot_id, fingerprint, upstream_pending, updated_at)
    values
        ('{{ this.identifier }}', '{{ this.identifier }}', null, {{ plan.snapshot }}, '{{ plan.fingerprint }}', null, now())
        {%- for input in plan.inputs %},
        ('{{ this.identifier }}', '{{ input["name"] }}', '{{ input["uuid"] }}', {{ plan.snapshot }}, null,
            {{ "null" if input["is_pending"] is none else input["is_pending"] }}, now())
        {%- endfor %};
{% endmacro %}
