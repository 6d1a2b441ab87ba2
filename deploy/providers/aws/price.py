"""What the hosts of a request cost until its deadline, from a price list that names its region and
date; and a fresh list through AWS's own pricing interface."""

import datetime
import json
import os
import pathlib

from cloud import Cloud
from errors import ProviderError, RequestError

LIST = pathlib.Path(__file__).resolve().parent / "prices.json"
HOURS_A_MONTH = 730
PRICING_REGION = "us-east-1"  # one of the few that offer the interface
MAX_LIST_BYTES = 1 << 20


def load(options):
    path = pathlib.Path(options.prices or LIST)
    try:
        data = path.read_bytes()
        document = json.loads(data) if len(data) <= MAX_LIST_BYTES else None
        document["region"], document["as_of"], document["types"]  # noqa: B018: they must be there
        return document
    except OSError as error:
        raise RequestError(f"options.prices: {error}") from None
    except (ValueError, KeyError, TypeError):
        raise RequestError(f"options.prices: {path} is no price list") from None


def price(request, region=""):
    prices, options = load(request.options), request.options
    if region and region != prices["region"]:
        mend = "ask `refresh` for another into options.prices"
        raise RequestError(f"options.region: {region}, and the price list is for {prices['region']}; {mend}")
    if options.type not in prices["types"]:
        known = ", ".join(sorted(prices["types"]))
        raise RequestError(f"options.type: the price list has no {options.type}, only {known}")
    hours = request.deadline_s / 3600
    count, outside = len(request.hosts), len(request.outside)
    kind = prices["types"][options.type]
    each, how = kind["hour"], "on demand"
    if options.spot:
        each, how = (kind["spot_hour"], "spot") if "spot_hour" in kind else (each, "spot, at most")
    gb_months = count * options.disk_gb * hours / HOURS_A_MONTH
    items = [
        _item(f"{options.type} {how}", count * hours, "hour", each),
        _item("storage gp3", gb_months, "GB-month", prices["storage_gb_month"]),
        _item("public address", outside * hours, "hour", prices["public_address_hour"]),
        _item("traffic between zones", options.traffic_gb_between_zones, "GB",
              prices["traffic_between_zones_gb"]),
        _item("traffic out", options.traffic_gb_out, "GB", prices["traffic_out_gb"]),
    ]  # fmt: skip
    total = round(sum(i["cost"] for i in items), 2)
    answer = {"currency": "USD", "as_of": prices["as_of"], "region": prices["region"]}
    return {**answer, "items": items, "total": total}


def _item(name, quantity, unit, each):
    quantity = round(quantity, 3)
    return {"item": name, "quantity": quantity, "unit": unit, "each": each,
            "cost": round(quantity * each, 4)}  # fmt: skip


# --- a fresh list -------------------------------------------------------------------------------


def refresh(options):
    """Writes the list that `options.prices` names; what AWS does not tell here keeps its old price and
    is named with it. Returns the list."""
    if not options.prices:
        raise RequestError("options.prices: the file to write; the list beside this program stays")
    old = json.loads(LIST.read_text())
    cloud = Cloud(options)
    region = cloud.region
    wanted = sorted({*old["types"], options.type})
    types = {name: hour for name in wanted if (hour := _type(cloud, region, name))}
    if options.type not in types:
        raise ProviderError(f"AWS tells no price of {options.type} in {region}", command="refresh")
    storage = _first(cloud, "AmazonEC2", regionCode=region, productFamily="Storage", volumeApiName="gp3")
    address = _first(cloud, "AmazonVPC", regionCode=region, group="VPCPublicIPv4Address")
    kept = [n for n, v in (("storage_gb_month", storage), ("public_address_hour", address)) if not v]
    fresh = {
        "region": region,
        "as_of": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "source": "the pricing interface of AWS",
        "older": {"of": f"{old['region']} {old['as_of']}",
                  "prices": [*kept, "traffic_between_zones_gb", "traffic_out_gb"]},
        "types": types,
        "storage_gb_month": storage or old["storage_gb_month"],
        "public_address_hour": address or old["public_address_hour"],
        "traffic_between_zones_gb": old["traffic_between_zones_gb"],
        "traffic_out_gb": old["traffic_out_gb"],
    }  # fmt: skip
    path = pathlib.Path(options.prices)
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(fresh, indent=2) + "\n")
    os.replace(new, path)
    return fresh


def _type(cloud, region, name):
    hour = _first(cloud, "AmazonEC2", regionCode=region, instanceType=name, operatingSystem="Linux",
                  tenancy="Shared", preInstalledSw="NA", capacitystatus="Used")  # fmt: skip
    if not hour:
        return None
    history = cloud.call("DescribeSpotPriceHistory", InstanceTypes=[name], MaxResults=20,
                         ProductDescriptions=["Linux/UNIX"])  # fmt: skip
    spots = [float(entry["SpotPrice"]) for entry in history.get("SpotPriceHistory", [])]
    return {"hour": hour, **({"spot_hour": max(spots)} if spots else {})}


def _first(cloud, service, **which):
    """The price in dollars of the first tier that costs something, or None."""
    filters = [{"Type": "TERM_MATCH", "Field": f, "Value": v} for f, v in which.items()]
    answer = cloud.call("GetProducts", "pricing", PRICING_REGION, ServiceCode=service, Filters=filters,
                        MaxResults=10)  # fmt: skip
    for text in answer.get("PriceList", []):
        try:
            terms = json.loads(text)["terms"]["OnDemand"].values()
            dimensions = [d for term in terms for d in term["priceDimensions"].values()]
            prices = [float(d["pricePerUnit"]["USD"]) for d in dimensions]
        except (ValueError, KeyError, AttributeError) as error:
            raise ProviderError(f"a price list of another form: {error!r}", command="refresh") from None
        if good := [p for p in prices if p > 0]:
            return min(good) if len(good) == 1 else max(good)
    return None
