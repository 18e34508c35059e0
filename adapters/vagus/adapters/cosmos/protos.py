"""The messages of the Cosmos SDK, CometBFT and CosmWasm that are used here, as cosmpy generates them."""

# The generated modules make their classes while they are imported, which no type checker sees.
# pyright: reportAttributeAccessIssue=false

from typing import Any

from cosmpy.protos.cosmos.auth.v1beta1 import auth_pb2 as cosmos_auth_auth
from cosmpy.protos.cosmos.auth.v1beta1 import query_pb2 as cosmos_auth_query
from cosmpy.protos.cosmos.bank.v1beta1 import query_pb2 as cosmos_bank_query
from cosmpy.protos.cosmos.bank.v1beta1 import tx_pb2 as cosmos_bank_tx
from cosmpy.protos.cosmos.base.node.v1beta1 import query_pb2 as cosmos_base_node_query
from cosmpy.protos.cosmos.base.query.v1beta1 import pagination_pb2 as cosmos_base_pagination
from cosmpy.protos.cosmos.base.v1beta1 import coin_pb2 as cosmos_base_coin
from cosmpy.protos.cosmos.crypto.ed25519 import keys_pb2 as cosmos_crypto_ed25519_keys
from cosmpy.protos.cosmos.crypto.secp256k1 import keys_pb2 as cosmos_crypto_secp256k1_keys
from cosmpy.protos.cosmos.staking.v1beta1 import staking_pb2 as cosmos_staking_staking
from cosmpy.protos.cosmos.staking.v1beta1 import tx_pb2 as cosmos_staking_tx
from cosmpy.protos.cosmos.tx.signing.v1beta1 import signing_pb2 as cosmos_tx_signing_signing
from cosmpy.protos.cosmos.tx.v1beta1 import service_pb2 as cosmos_tx_service
from cosmpy.protos.cosmos.tx.v1beta1 import tx_pb2 as cosmos_tx_tx
from cosmpy.protos.cosmwasm.wasm.v1 import query_pb2 as cosmwasm_wasm_query
from cosmpy.protos.cosmwasm.wasm.v1 import tx_pb2 as cosmwasm_wasm_tx
from cosmpy.protos.tendermint.types import types_pb2 as tendermint_types_types

__all__ = [
    "AuthInfo",
    "BaseAccount",
    "Bech32PrefixRequest",
    "Bech32PrefixResponse",
    "Coin",
    "CommissionRates",
    "ConfigRequest",
    "ConfigResponse",
    "Description",
    "Ed25519PubKey",
    "Fee",
    "ModeInfo",
    "MsgCreateValidator",
    "MsgExecuteContract",
    "MsgInstantiateContract",
    "MsgSend",
    "MsgStoreCode",
    "PageRequest",
    "Proposal",
    "PubKey",
    "QueryAccountRequest",
    "QueryAccountResponse",
    "QueryBalanceRequest",
    "QueryBalanceResponse",
    "QueryCodeRequest",
    "QueryCodeResponse",
    "QueryCodesRequest",
    "QueryCodesResponse",
    "QueryContractInfoRequest",
    "QuerySmartContractStateRequest",
    "QuerySmartContractStateResponse",
    "SignDoc",
    "SignMode",
    "SignerInfo",
    "SimulateRequest",
    "SimulateResponse",
    "TxBody",
    "TxRaw",
    "Vote",
]

AuthInfo: Any = cosmos_tx_tx.AuthInfo
BaseAccount: Any = cosmos_auth_auth.BaseAccount
Bech32PrefixRequest: Any = cosmos_auth_query.Bech32PrefixRequest
Bech32PrefixResponse: Any = cosmos_auth_query.Bech32PrefixResponse
Coin: Any = cosmos_base_coin.Coin
CommissionRates: Any = cosmos_staking_staking.CommissionRates
ConfigRequest: Any = cosmos_base_node_query.ConfigRequest
ConfigResponse: Any = cosmos_base_node_query.ConfigResponse
Description: Any = cosmos_staking_staking.Description
Ed25519PubKey: Any = cosmos_crypto_ed25519_keys.PubKey
Fee: Any = cosmos_tx_tx.Fee
ModeInfo: Any = cosmos_tx_tx.ModeInfo
MsgCreateValidator: Any = cosmos_staking_tx.MsgCreateValidator
MsgExecuteContract: Any = cosmwasm_wasm_tx.MsgExecuteContract
MsgInstantiateContract: Any = cosmwasm_wasm_tx.MsgInstantiateContract
MsgSend: Any = cosmos_bank_tx.MsgSend
MsgStoreCode: Any = cosmwasm_wasm_tx.MsgStoreCode
PageRequest: Any = cosmos_base_pagination.PageRequest
Proposal: Any = tendermint_types_types.Proposal
PubKey: Any = cosmos_crypto_secp256k1_keys.PubKey
QueryAccountRequest: Any = cosmos_auth_query.QueryAccountRequest
QueryAccountResponse: Any = cosmos_auth_query.QueryAccountResponse
QueryBalanceRequest: Any = cosmos_bank_query.QueryBalanceRequest
QueryBalanceResponse: Any = cosmos_bank_query.QueryBalanceResponse
QueryCodeRequest: Any = cosmwasm_wasm_query.QueryCodeRequest
QueryCodeResponse: Any = cosmwasm_wasm_query.QueryCodeResponse
QueryCodesRequest: Any = cosmwasm_wasm_query.QueryCodesRequest
QueryCodesResponse: Any = cosmwasm_wasm_query.QueryCodesResponse
QueryContractInfoRequest: Any = cosmwasm_wasm_query.QueryContractInfoRequest
QuerySmartContractStateRequest: Any = cosmwasm_wasm_query.QuerySmartContractStateRequest
QuerySmartContractStateResponse: Any = cosmwasm_wasm_query.QuerySmartContractStateResponse
SignDoc: Any = cosmos_tx_tx.SignDoc
SignMode: Any = cosmos_tx_signing_signing.SignMode
SignerInfo: Any = cosmos_tx_tx.SignerInfo
SimulateRequest: Any = cosmos_tx_service.SimulateRequest
SimulateResponse: Any = cosmos_tx_service.SimulateResponse
TxBody: Any = cosmos_tx_tx.TxBody
TxRaw: Any = cosmos_tx_tx.TxRaw
Vote: Any = tendermint_types_types.Vote
