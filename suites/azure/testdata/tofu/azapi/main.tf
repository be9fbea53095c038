# What the quickstarts of Azure have a reader make: a machine with its network behind a balancer, a disk, and a storage account for its diagnostics.
terraform {
  required_providers {
    azapi = { source = "Azure/azapi" }
  }
}

provider "azapi" {}

variable "location" {
  type    = string
  default = "westeurope"
}

data "azapi_client_config" "me" {}

resource "azapi_resource" "group" {
  type     = "Microsoft.Resources/resourceGroups@2022-09-01"
  name     = "tutorial"
  location = var.location
  tags     = { made = "by tofu" }
}

resource "azapi_resource" "network" {
  type      = "Microsoft.Network/virtualNetworks@2023-09-01"
  parent_id = azapi_resource.group.id
  name      = "network"
  location  = var.location
  body      = { properties = { addressSpace = { addressPrefixes = ["10.0.0.0/16"] } } }
}

resource "azapi_resource" "guard" {
  type      = "Microsoft.Network/networkSecurityGroups@2023-09-01"
  parent_id = azapi_resource.group.id
  name      = "guard"
  location  = var.location
  body = {
    properties = {
      securityRules = [{
        name = "ssh"
        properties = {
          priority = 1001, direction = "Inbound", access = "Allow", protocol = "Tcp"
          sourcePortRange = "*", destinationPortRange = "22", sourceAddressPrefix = "*", destinationAddressPrefix = "*"
        }
      }]
    }
  }
}

resource "azapi_resource" "subnet" {
  type      = "Microsoft.Network/virtualNetworks/subnets@2023-09-01"
  parent_id = azapi_resource.network.id
  name      = "machines"
  body      = { properties = { addressPrefix = "10.0.1.0/24", networkSecurityGroup = { id = azapi_resource.guard.id } } }
}

resource "azapi_resource" "address" {
  type                   = "Microsoft.Network/publicIPAddresses@2023-09-01"
  parent_id              = azapi_resource.group.id
  name                   = "address"
  location               = var.location
  body                   = { sku = { name = "Standard" }, properties = { publicIPAllocationMethod = "Static" } }
  response_export_values = ["properties.ipAddress"]
}

resource "azapi_resource" "balancer" {
  type      = "Microsoft.Network/loadBalancers@2023-09-01"
  parent_id = azapi_resource.group.id
  name      = "balancer"
  location  = var.location
  body = {
    sku = { name = "Standard" }
    properties = {
      frontendIPConfigurations = [{ name = "front", properties = { publicIPAddress = { id = azapi_resource.address.id } } }]
      backendAddressPools      = [{ name = "back" }]
      probes                   = [{ name = "ssh", properties = { protocol = "Tcp", port = 22, intervalInSeconds = 5, numberOfProbes = 2 } }]
      loadBalancingRules = [{
        name = "ssh"
        properties = {
          protocol = "Tcp", frontendPort = 22, backendPort = 22
          frontendIPConfiguration = { id = "${azapi_resource.group.id}/providers/Microsoft.Network/loadBalancers/balancer/frontendIPConfigurations/front" }
          backendAddressPool      = { id = "${azapi_resource.group.id}/providers/Microsoft.Network/loadBalancers/balancer/backendAddressPools/back" }
          probe                   = { id = "${azapi_resource.group.id}/providers/Microsoft.Network/loadBalancers/balancer/probes/ssh" }
        }
      }]
    }
  }
}

resource "azapi_resource" "interface" {
  type      = "Microsoft.Network/networkInterfaces@2023-09-01"
  parent_id = azapi_resource.group.id
  name      = "interface"
  location  = var.location
  body = {
    properties = {
      ipConfigurations = [{
        name = "internal"
        properties = {
          subnet                          = { id = azapi_resource.subnet.id }
          privateIPAllocationMethod       = "Dynamic"
          loadBalancerBackendAddressPools = [{ id = "${azapi_resource.balancer.id}/backendAddressPools/back" }]
        }
      }]
    }
  }
  response_export_values = ["properties.ipConfigurations"]
}

resource "azapi_resource" "account" {
  type      = "Microsoft.Storage/storageAccounts@2023-01-01"
  parent_id = azapi_resource.group.id
  name      = "drydocktutorial"
  location  = var.location
  body      = { kind = "StorageV2", sku = { name = "Standard_LRS" }, properties = { minimumTlsVersion = "TLS1_2" } }
}

resource "azapi_resource" "key" {
  type      = "Microsoft.Compute/sshPublicKeys@2023-09-01"
  parent_id = azapi_resource.group.id
  name      = "key"
  location  = var.location
}

resource "azapi_resource_action" "generate" {
  type                   = "Microsoft.Compute/sshPublicKeys@2023-09-01"
  resource_id            = azapi_resource.key.id
  action                 = "generateKeyPair"
  method                 = "POST"
  response_export_values = ["publicKey"]
}

resource "azapi_resource" "disk" {
  type      = "Microsoft.Compute/disks@2023-04-02"
  parent_id = azapi_resource.group.id
  name      = "data"
  location  = var.location
  body      = { sku = { name = "Standard_LRS" }, properties = { creationData = { createOption = "Empty" }, diskSizeGB = 4 } }
}

resource "azapi_resource" "machine" {
  type      = "Microsoft.Compute/virtualMachines@2023-09-01"
  parent_id = azapi_resource.group.id
  name      = "machine"
  location  = var.location
  identity { type = "SystemAssigned" }
  body = {
    properties = {
      hardwareProfile = { vmSize = "Standard_DS1_v2" }
      networkProfile  = { networkInterfaces = [{ id = azapi_resource.interface.id }] }
      storageProfile = {
        imageReference = { publisher = "Canonical", offer = "0001-com-ubuntu-server-jammy", sku = "22_04-lts-gen2", version = "latest" }
        osDisk         = { name = "os", createOption = "FromImage", caching = "ReadWrite", managedDisk = { storageAccountType = "Premium_LRS" } }
        dataDisks      = [{ lun = 0, createOption = "Attach", managedDisk = { id = azapi_resource.disk.id } }]
      }
      osProfile = {
        computerName       = "machine"
        adminUsername      = "me"
        linuxConfiguration = { disablePasswordAuthentication = true, ssh = { publicKeys = [{ path = "/home/me/.ssh/authorized_keys", keyData = azapi_resource_action.generate.output.publicKey }] } }
      }
      diagnosticsProfile = { bootDiagnostics = { enabled = true, storageUri = "https://${azapi_resource.account.name}.blob.core.windows.net/" } }
    }
  }
  response_export_values = ["properties.vmId"]
}

resource "azapi_resource" "script" {
  type      = "Microsoft.Compute/virtualMachines/extensions@2023-09-01"
  parent_id = azapi_resource.machine.id
  name      = "script"
  location  = var.location
  body = {
    properties = {
      publisher = "Microsoft.Azure.Extensions", type = "CustomScript", typeHandlerVersion = "2.1", autoUpgradeMinorVersion = true
      settings  = { commandToExecute = "hostname" }
    }
  }
}

output "me" { value = data.azapi_client_config.me.subscription_id }
output "machine" { value = azapi_resource.machine.output }
output "address" { value = azapi_resource.address.output }
