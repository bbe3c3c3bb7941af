{#
    The statements that record what a model has read, for the transaction that writes the model.
#}
{% macro save_positions(plan) %}
    delete from {{ this.database }}.meta.model_cursors where model = '{{ this.identifier }}';
    insert into {{ this.database }}.meta.model_cursors
        (model, upstream, upstream_uuid, snapshot_id, fingerprint, updated_at)
    values
        ('{{ this.identifier }}', '{{ this.identifier }}', null, {{ plan.snapshot }}, '{{ plan.fingerprint }}', now())
        {%- for name, uuid in plan.uuids.items() %},
        ('{{ this.identifier }}', '{{ name }}', '{{ uuid }}', {{ plan.snapshot }},
            {{ "'" ~ plan.states[name] ~ "'" if plan.states[name] else "null" }}, now())
        {%- endfor %};
{% endmacro %}
