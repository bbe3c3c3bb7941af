{#
    Warns of currencies of the last watch_report_days of orders that are none of ISO 4217's, that
    the shop does not sell in (variable shop_currencies), or that a shop of several weeks had never
    seen before. Sums over two currencies mean nothing, so somebody has to know of each.
#}
{% set iso_4217 = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN "
    "BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL "
    "GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF "
    "KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN "
    "MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD "
    "SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH "
    "UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG "
).split() %}

with

sales as (
    select * from {{ ref('fct_sales') }} where is_counted and order_day <= {{ watch_until() }}
),

newest as (
    select
        min(order_day) as first_day,
        max(order_day) as last_day
    from sales
),

currencies as (
    select
        currency,
        min(order_day) as first_day,
        max(order_day) as last_day,
        count(*) as orders
    from sales
    group by currency
),

judged as (
    select
        currencies.*,
        case
            when currency is null then 'is missing'
            when not list_contains({{ iso_4217 }}, currency)
                then 'is no currency of ISO 4217'
            {% if var("shop_currencies") %}
            when not list_contains({{ var("shop_currencies") }}, currency)
                then 'is none of shop_currencies'
            {% endif %}
            when
                currencies.first_day > newest.last_day - {{ setting("watch_report_days") }}
                and newest.first_day < currencies.first_day - 7 * {{ setting("watch_least_weeks") }}
                then 'was never seen before ' || currencies.first_day
        end as problem
    from currencies
    cross join newest
    where currencies.last_day > newest.last_day - {{ setting("watch_report_days") }}
)

select
    *,
    'fct_sales: the currency of ' || orders || ' orders, ' || coalesce(currency, 'null') || ', '
    || problem || '. See docs/checks.md, "A currency is unknown"' as message
from judged
where problem is not null
