"""Sends SNMPv3 notifications with pysnmp: one for each line of JSON on standard input, its result on standard output.

A line has host, port, kind ("trap" or "inform"), user, auth and auth_password, priv and priv_password (each pair may be
left out), and text, the value of the only varbind.
"""

import asyncio
import json
import sys

from pysnmp.hlapi.v3arch.asyncio import (
    ContextData,
    NotificationType,
    ObjectIdentity,
    OctetString,
    SnmpEngine,
    UdpTransportTarget,
    UsmUserData,
    send_notification,
    usmAesBlumenthalCfb192Protocol,
    usmAesBlumenthalCfb256Protocol,
    usmAesCfb128Protocol,
    usmAesCfb192Protocol,
    usmAesCfb256Protocol,
    usmDESPrivProtocol,
    usmHMAC128SHA224AuthProtocol,
    usmHMAC192SHA256AuthProtocol,
    usmHMAC256SHA384AuthProtocol,
    usmHMAC384SHA512AuthProtocol,
    usmHMACMD5AuthProtocol,
    usmHMACSHAAuthProtocol,
    usmNoAuthProtocol,
    usmNoPrivProtocol,
)

AUTH = {
    None: usmNoAuthProtocol,
    "MD5": usmHMACMD5AuthProtocol,
    "SHA-1": usmHMACSHAAuthProtocol,
    "SHA-224": usmHMAC128SHA224AuthProtocol,
    "SHA-256": usmHMAC192SHA256AuthProtocol,
    "SHA-384": usmHMAC256SHA384AuthProtocol,
    "SHA-512": usmHMAC384SHA512AuthProtocol,
}
PRIV = {
    None: usmNoPrivProtocol,
    "DES": usmDESPrivProtocol,
    "AES-128": usmAesCfb128Protocol,
    "AES-192": usmAesBlumenthalCfb192Protocol,
    "AES-256": usmAesBlumenthalCfb256Protocol,
    "AES-192-C": usmAesCfb192Protocol,
    "AES-256-C": usmAesCfb256Protocol,
}


async def notify(engine, wanted):
    user = UsmUserData(
        wanted["user"],
        authKey=wanted.get("auth_password"),
        authProtocol=AUTH[wanted.get("auth")],
        privKey=wanted.get("priv_password"),
        privProtocol=PRIV[wanted.get("priv")],
    )
    target = await UdpTransportTarget.create((wanted["host"], wanted["port"]), timeout=5, retries=2)
    notification = NotificationType(ObjectIdentity("1.3.6.1.4.1.99999.0.1")).add_varbinds(
        ("1.3.6.1.4.1.99999.1", OctetString(wanted["text"]))
    )
    error, status, _, _ = await send_notification(
        engine, user, target, ContextData(), wanted["kind"], notification
    )
    return str(error or status or "ok")


async def main():
    engine = SnmpEngine()
    for line in sys.stdin:
        wanted = json.loads(line)
        print(await notify(engine, wanted), flush=True)


asyncio.run(main())
