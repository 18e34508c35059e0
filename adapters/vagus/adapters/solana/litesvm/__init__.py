"""A Solana node for development: LiteSVM (wheel solders) behind Solana's own JSON-RPC and websocket.

bank        accounts as of each slot, and transactions executed on them
ledger      slots, blockhashes, what waits and what was included
encoding    the JSON of accounts, transactions and errors
methods     the calls of Solana's JSON-RPC
control     calls of the devnet's own: slots, time, forks
sockets     subscriptions
server      the process
"""
