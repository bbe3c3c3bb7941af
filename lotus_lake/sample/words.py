"""Hand-written words of the sample shop: names, products, places, campaigns.

Many are awkward on purpose. Apostrophes, quotes, commas, line breaks and letters outside ASCII are
what breaks CSV readers, SQL built from strings, and storage engines.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_NAMES = [
    "Ada", "Zoë", "José", "Siân", "D'Arcy", "Nguyễn", "李", "Олена", "Jean-Luc", 'Bob "Bobby"',
    "Maya", "Noah", "Aisha", "Søren", "Chloé", "Kwame", "Priya", "Tomáš", "Grace", "Ömer",
    "Lucía", "Ethan", "Fatima", "Björn", "Hana", "Mateo", "Ivy", "Liam", "Yuki", "Ruth",
]  # fmt: skip

LAST_NAMES = [
    "O'Brien", "Müller", "Smith, Jr.", "García", "van der Berg", "Nakamura", "Łukasz", "Brown",
    "D’Angelo", "Ivanova", "McDonald", "Øster", "King", "Sánchez", "Žižek", "Lee", "Haddad",
    "Okafor", "Fitz\\Roy", "St. John", "Çelik", "Patel", "Dubois", "Rossi", "Weiß", "Young",
    "Cohen", "Novák", "Silva", "100% Real",
]  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a customer lives; `streets` may hold line breaks, as typed-in addresses do."""

    city: str
    province: str
    province_code: str
    country: str
    country_code: str
    postal_code: str
    street: str


PLACES = [
    Place("New York", "New York", "NY", "United States", "US", "10001", "5 W 31st St\nApt 4"),
    Place("Fair Lawn", "New Jersey", "NJ", "United States", "US", "07410", "My Best Accent"),
    Place("Coeur d'Alene", "Idaho", "ID", "United States", "US", "83814", "1 Lake Dr, Unit #2"),
    Place("Austin", "Texas", "TX", "United States", "US", "73301", '12 "Old" Mill Rd'),
    Place("San José", "California", "CA", "United States", "US", "95112", "77 S 1st St"),
    Place("Montréal", "Québec", "QC", "Canada", "CA", "H2X 1Y4", "8 rue de l'Église"),
    Place("München", "Bayern", "BY", "Germany", "DE", "80331", "Straße 9; Hinterhaus"),
    Place("Kraków", "Małopolskie", "MA", "Poland", "PL", "30-001", "ul. Łąkowa 3"),
    Place("London", "England", "ENG", "United Kingdom", "GB", "SW1A 1AA", "221B Baker St"),
    Place("東京", "東京都", "JP-13", "Japan", "JP", "100-0001", "千代田1-1"),
]


@dataclass(frozen=True)
class Product:
    """A product of the catalogue; `price` is in cents and belongs to its first variant.

    `new_title` and `new_vendor`, where given, replace the old ones half-way through the history.
    """

    title: str
    vendor: str
    price: int
    variants: tuple[str, ...] = ("Default Title",)
    new_title: str | None = None
    new_vendor: str | None = None
    gift_card: bool = False


PRODUCTS = [
    Product("8 Ounce Soy Candle", "Hartmann Group", 1900, ("Wooden", "Metal", "Plastic")),
    Product("4 Ounce Soy Candle", "Hartmann Group", 1250, new_title="Soy Candle (4 oz)"),
    Product("Red & Silver Fishing Lure", "Harris - Hamill", 2700, ("Plastic", "Steel")),
    Product('12" Cast-Iron Skillet', "Smith & Sons, Ltd.", 4499),
    Product("Farmer's Market Tote", "O'Reilly Goods", 1575, ("Natural", "Bleu ciel")),
    Product("Crème Brûlée Torch", "L'Atelier Doré", 3290, new_title="Crème brûlée torch"),
    Product("Two-line title\nLimited edition", "Studio №5", 5900),
    Product("抹茶 Matcha, 100g", "京都 Tea Co.", 2450, ("First flush", "Culinary")),
    Product("Gift Card", "Lotus", 2500, ("$25", "$50", "$100"), gift_card=True),
    Product("Wool Socks", "Norse Knits", 999, ("S", "M", "L"), new_vendor="Norse Knits A/S"),
    Product("Linen Apron", "O'Reilly Goods", 3800, ("Sand", "Ink", "Olive")),
    Product("Beeswax Wrap 3-pack", "Apis; Mellifera", 1495),
    Product("Enamel Mug", "Hartmann Group", 1350, ("White", "Blue"), new_title='Mug, "Enamel"'),
    Product("Notebook — dotted", "Papier & Co", 1199, ("A5", "A6")),
    Product("Fountain Pen", "Papier & Co", 6250, ("Fine", "Medium", "Broad")),
    Product("Kids' Rain Coat", "Smith & Sons, Ltd.", 4995, ("2–3y", "4–5y", "6–7y")),
    Product("100% Cotton Towel", "Çeşme Textiles", 2195, new_vendor="Cesme Textiles"),
    Product("Ceramic Pour-Over", "京都 Tea Co.", 3475),
    Product("Olive Oil 500ml", "Frantoio d'Oro", 1825, ("Mild", "Robust")),
    Product("Sourdough Starter Kit", "L'Atelier Doré", 2890),
    Product("Lip Balm (SPF 15)", "Apis; Mellifera", 495, ("Mint", "Honey", "Plain")),
    Product("Desk Lamp {brass}", "Studio №5", 8900),
    Product("Bamboo Toothbrush\t4-pack", "Norse Knits", 1095),
    Product("Puzzle: 1,000 pieces", "Papier & Co", 2399, ("Alps", "Reef")),
    Product("Trail Mix 🥜", "Frantoio d'Oro", 750),
    Product("Picnic Blanket", "Çeşme Textiles", 5450, ("Red", "Green"), new_title="Picnic Rug"),
    Product("Bath Salts", "Apis; Mellifera", 1650),
    Product("Tea Towel 'Pardon my French'", "O'Reilly Goods", 1225),
    Product("Chef’s Knife 20cm", "Harris - Hamill", 9900),
    Product("Sticker", "Studio №5", 199, ("Lotus", "Lake")),
]

CAMPAIGN_NAMES = [
    "Spring sale – 10% off", "You're invited", 'The "Quiet" Edit', "New in: candles, mugs & more",
    "Últimas unidades", "Last chance", "Weekend reads, vol. 3", "Member's preview",
    "Gift guide 🎁", "Back in stock",
]  # fmt: skip

FLOW_NAMES = [
    ("Abandoned Cart", "Metric", "live"),
    ("Welcome Series", "Added to List", "live"),
    ("Browse Abandonment", "Metric", "manual"),
    ("Customer's Thank You", "Metric", "live"),
    ("Happy Birthday Email - Standard", "Date Based", "manual"),
    ("Abandoned Cart Archived", "Metric", "draft"),
]

LIST_NAMES = [
    ("Newsletter", "double_opt_in"),
    ("VIPs, all countries", "single_opt_in"),
    ("Checkout opt-ins", "single_opt_in"),
    ("SMS \"text\" list", "double_opt_in"),
]  # fmt: skip

# (name, integration): "Clicked Email" exists twice, as in a real account that also sends over
# the API; only the metric of Klaviyo itself carries most of the clicks.
METRIC_NAMES = [
    ("Received Email", "Klaviyo"),
    ("Opened Email", "Klaviyo"),
    ("Clicked Email", "Klaviyo"),
    ("Clicked Email", "API"),
    ("Placed Order", "Shopify"),
    ("Ordered Product", "Shopify"),
    ("Refunded Order", "Shopify"),
    ("Cancelled Order", "Shopify"),
    ("Unsubscribed", "Klaviyo"),
    ("Bounced Email", "Klaviyo"),
    ("Active on Site", "API"),
    ("Viewed Product", "API"),
]

JAFFLE_NAMES = [
    ("Michael", "P."), ("Shawn", "M."), ("Kathleen", "P."), ("Jimmy", "C."), ("Katherine", "R."),
    ("Sarah", "R."), ("Martin", "M."), ("Frank", "R."), ("Jennifer", "F."), ("Henry", "W."),
    ("Zoë", "O'N."), ('Mary "May"', "K., Jr."), ("Łucja", "Ż."), ("Fred", "S."),
]  # fmt: skip
