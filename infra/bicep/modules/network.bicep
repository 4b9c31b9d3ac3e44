metadata name = 'Network'
metadata description = 'Optional: one fixed public address for everything the app sends, so that the exchange key can be bound to it.'

@description('Stem of the resource names.')
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Address space of the virtual network.')
param addressPrefix string

@description('Containers (the streamer, the training job) send from here as well.')
param containers bool

var users = containers ? ['functions', 'streamer'] : ['functions']

resource securityGroup 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: 'nsg-${name}'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        // Nothing listens in this subnet; the app only calls out.
        name: 'DenyInboundFromInternet'
        properties: {
          priority: 100
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: 'Internet'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource address 'Microsoft.Network/publicIPAddresses@2024-05-01' = {
  name: 'pip-${name}'
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: {
    publicIPAllocationMethod: 'Static'
    publicIPAddressVersion: 'IPv4'
  }
}

resource gateway 'Microsoft.Network/natGateways@2024-05-01' = {
  name: 'ng-${name}'
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: {
    idleTimeoutInMinutes: 4
    publicIpAddresses: [{ id: address.id }]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: 'vnet-${name}'
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: [
      for (user, i) in users: {
        name: user
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, i)
          natGateway: { id: gateway.id }
          networkSecurityGroup: { id: securityGroup.id }
          defaultOutboundAccess: false
          // What Flex Consumption and Container Apps ask of a subnet, each of one of its own.
          delegations: [
            {
              name: user == 'functions' ? 'flex-consumption' : 'container-apps'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
    ]
  }
}

@description('Resource id of the subnet for the function app.')
output subnetId string = network.properties.subnets[0].id

@description('Resource id of the subnet for containers; empty without them.')
output containersSubnetId string = containers ? network.properties.subnets[1].id : ''

@description('The public address that the exchange sees.')
output egressAddress string = address.properties.ipAddress
