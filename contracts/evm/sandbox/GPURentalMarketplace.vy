# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
# SPDX-License-Identifier: Apache-2.0
"""
@title  A GPU rental market for the sandbox
@license Apache-2.0
@notice Has the views of GPU.net's GPURentalMarketplace, for who reads that market: a development
        chain holds it where `vagus sandbox gpunet` runs. No money is in it.
@dev    Numbers begin at 10,001; a price is in USD * 10^6 per hour. What moves the market is only
        for the server, as there; here that is who deployed it.
"""

struct GPU:
    cpuName: String[64]
    gpuName: String[64]
    gpuVRAM: uint256
    totalRAM: uint256
    storageAvailable: uint256
    coreCount: uint256
    ipAddress: String[64]
    region: String[64]
    bidPrice: uint256
    isListed: bool
    isRented: bool

event MachineListed:
    machineId: uint256
    name: String[64]

event MachineRented:
    orderId: uint256
    machineId: uint256

SERVER: immutable(address)

machineId: public(uint256)
orderId: public(uint256)
_machines: HashMap[uint256, GPU]


@deploy
def __init__():
    """
    @notice Makes the deployer the market's server.
    """
    SERVER = msg.sender
    self.machineId = 10_000


@external
def registerMachines(
    cpuName: String[64],
    gpuName: String[64],
    gpuVRAM: uint256,
    totalRAM: uint256,
    storageAvailable: uint256,
    coreCount: uint256,
    ipAddress: String[64],
    region: String[64],
    bidPrice: uint256,
) -> uint256:
    """
    @notice Lists a machine.
    @param cpuName What computes beside the GPU.
    @param gpuName The GPU.
    @param gpuVRAM Its memory in GB.
    @param totalRAM The machine's memory in GB.
    @param storageAvailable Its disk in GB.
    @param coreCount Its cores.
    @param ipAddress Where it is on the internet.
    @param region Where it stands.
    @param bidPrice Whole USD per hour.
    @return The machine's number.
    """
    assert msg.sender == SERVER, "Unauthorized request"
    self.machineId += 1
    self._machines[self.machineId] = GPU(
        cpuName=cpuName,
        gpuName=gpuName,
        gpuVRAM=gpuVRAM,
        totalRAM=totalRAM,
        storageAvailable=storageAvailable,
        coreCount=coreCount,
        ipAddress=ipAddress,
        region=region,
        bidPrice=bidPrice * 10**6,
        isListed=True,
        isRented=False,
    )
    log MachineListed(machineId=self.machineId, name=gpuName)
    return self.machineId


@external
def rentMachine(machine: uint256):
    """
    @notice Rents a machine.
    @param machine Its number.
    """
    assert msg.sender == SERVER, "Unauthorized request"
    assert self._machines[machine].isListed, "Machine is not available for rent"
    assert not self._machines[machine].isRented, "Machine already in use"
    self.orderId += 1
    self._machines[machine].isListed = False
    self._machines[machine].isRented = True
    log MachineRented(orderId=self.orderId, machineId=machine)


@external
def completeOrder(machine: uint256):
    """
    @notice Ends a machine's rent.
    @param machine Its number.
    """
    assert msg.sender == SERVER, "Unauthorized request"
    assert self._machines[machine].isRented, "Machine is not rented"
    self._machines[machine].isListed = True
    self._machines[machine].isRented = False


@external
def setBidPrice(machine: uint256, bidPrice: uint256):
    """
    @notice Changes a machine's price.
    @param machine Its number.
    @param bidPrice Whole USD per hour.
    """
    assert msg.sender == SERVER, "Unauthorized request"
    self._machines[machine].bidPrice = bidPrice * 10**6


@external
@view
def checkAvailability(machine: uint256) -> bool:
    """
    @notice Says whether a machine is listed.
    @param machine Its number.
    @return Whether it is.
    """
    return self._machines[machine].isListed


@external
@view
def machines(
    machine: uint256,
) -> (
    String[64],
    String[64],
    uint256,
    uint256,
    uint256,
    uint256,
    String[64],
    String[64],
    uint256,
    bool,
    bool,
):
    """
    @notice Reads a machine as Solidity's getter of the market's mapping returns it.
    @param machine Its number.
    @return All fields but its ports, which such a getter leaves out.
    """
    found: GPU = self._machines[machine]
    return (
        found.cpuName,
        found.gpuName,
        found.gpuVRAM,
        found.totalRAM,
        found.storageAvailable,
        found.coreCount,
        found.ipAddress,
        found.region,
        found.bidPrice,
        found.isListed,
        found.isRented,
    )
