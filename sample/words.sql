-- Hand-written words. Many are awkward on purpose: apostrophes, quotes, commas, line breaks and
-- letters outside ASCII break CSV readers, SQL made of strings, and storage engines.

set variable first_names = [
    'Ada', 'Zoë', 'José', 'D''Arcy', 'Nguyễn', '李', 'Олена', 'Jean-Luc', 'Bob "Bobby"', 'Maya'
];
set variable last_names = [
    'O''Brien', 'Müller', 'Smith, Jr.', 'van der Berg', 'Łukasz', 'Žižek', 'Fitz\Roy', '100% Real'
];
set variable places = [
    {address1: e'5 W 31st St\nApt 4', city: 'New York', zip: '07410', province: 'New York',
        country: 'United States', country_code: 'US'},
    {address1: '8 rue de l''Église, #2', city: 'Montréal', zip: 'H2X 1Y4', province: 'Québec',
        country: 'Canada', country_code: 'CA'},
    {address1: 'Straße "9"; Hinterhaus', city: 'Coeur d''Alene', zip: '83814', province: 'Idaho',
        country: 'United States', country_code: 'US'},
    {address1: '千代田1-1', city: '東京', zip: '100-0001', province: '東京都', country: 'Japan',
        country_code: 'JP'}
];
set variable campaign_names = ['Spring sale – 10% off', 'You''re invited', 'The "Quiet" Edit', '🎁'];
set variable flow_names = ['Abandoned Cart', 'Welcome Series', 'Customer''s Thank You'];
set variable list_names = ['Newsletter', 'VIPs, all countries', 'SMS "text" list'];
-- "Clicked Email" exists twice, as in an account that also sends over the API.
set variable metric_names = [
    'Received Email', 'Opened Email', 'Clicked Email', 'Clicked Email', 'Placed Order',
    'Unsubscribed', 'Active on Site', 'Bounced Email', 'Viewed Product', 'Marked Email as Spam',
    'Unsubscribed from Email Marketing', 'Received SMS', 'Clicked SMS'
];
set variable codes = [
    {code: 'WELCOME15', title: '15 % off, "always"', discount_type: 'ORDER', status: 'ACTIVE'},
    {code: 'FLASH70', title: 'Today''s flash sale', discount_type: 'ORDER', status: 'EXPIRED'},
    {code: 'FREESHIP', title: 'Free shipping', discount_type: 'SHIPPING', status: 'ACTIVE'},
    {code: 'FRIENDS100', title: 'For friends, colleagues', discount_type: 'ORDER', status: 'ACTIVE'},
    {code: 'Été–10', title: 'Never used', discount_type: 'PRODUCT', status: 'SCHEDULED'}
];
set variable locations = [
    {name: 'Warehouse "East"', city: 'Secaucus', country_code: 'US'},
    {name: 'Shop, rue de l''Église', city: 'Montréal', country_code: 'CA'},
    {name: 'Closed pop-up', city: 'Düsseldorf', country_code: 'DE'}
];
set variable ads = [
    {platform: 'google', campaign: 'Brand | "lotus"', currency: 'USD', share: 0.05},
    {platform: 'google', campaign: 'Shopping, all products', currency: 'USD', share: 0.07},
    {platform: 'meta', campaign: 'Prospecting – été', currency: 'USD', share: 0.09},
    {platform: 'meta', campaign: 'Remarketing', currency: 'EUR', share: 0.01}
];

-- Prices are in cents. New titles and vendors replace the old ones half-way through the history.
create table products as
select *, row_number() over () as product_no
from (values
    ('8 Ounce Soy Candle', 'Hartmann Group', 1900, ['Wooden', 'Metal', 'Plastic'], null, null, 'Home'),
    ('Lip Balm (SPF 15)', 'Apis; Mellifera', 495, ['Mint', 'Honey', 'Plain'], null, null, 'Beauty'),
    ('Farmer''s Market Tote', 'O''Reilly Goods', 1575, ['Natural', 'Bleu ciel'], null, null, 'Bags'),
    ('Crème Brûlée Torch', 'L''Atelier', 3290, ['Default Title'], 'Crème brûlée torch', null, 'Kitchen'),
    (e'Two-line title\nLimited edition', 'Studio №5', 5900, ['Default Title'], null, null, 'Home'),
    ('抹茶 Matcha, 100g', '京都 Tea Co.', 2450, ['First flush', 'Culinary'], null, null, 'Food & drink'),
    ('Gift Card', 'Lotus', 2500, ['$25', '$50', '$100'], null, null, 'Gift cards'),
    ('Wool Socks', 'Norse Knits', 999, ['S', 'M', 'L'], null, 'Norse Knits A/S', 'Clothing'),
    ('Enamel Mug', 'Hartmann Group', 1350, ['White', 'Blue'], 'Mug, "Enamel"', null, 'Kitchen'),
    ('100% Cotton Towel', 'Çeşme Textiles', 2195, ['Default Title'], null, 'Cesme Textiles', 'Home'),
    ('Desk Lamp {brass}', 'Studio №5', 8900, ['Default Title'], null, null, 'Home'),
    ('Trail Mix 🥜', 'Frantoio d''Oro', 750, ['Default Title'], null, null, 'Food & drink'),
    ('Not on sale yet', 'Lotus', 4200, ['Default Title'], null, null, null)
) as products (title, vendor, price, variants, new_title, new_vendor, product_type);
