package provider

import "strings"

// served are the namespaces that the twin has types of; clusters are made of them, so a subscription of the twin is registered to use them unless it says
// otherwise.
func served() []string {
	return []string{
		"Microsoft.Authorization", "Microsoft.Compute", "Microsoft.KeyVault", "Microsoft.ManagedIdentity", "Microsoft.Network", "Microsoft.Resources", "Microsoft.Storage",
	}
}

// standing are the namespaces without Microsoft. that every subscription is registered to use, and cannot leave
// (MicrosoftDocs/azure-docs, azure-services-resource-providers.md: "Registered by default").
func standing() []string {
	return strings.Fields(`
		ADHybridHealthService Authorization Billing ClassicSubscription Commerce Consumption CostManagement Features MarketplaceOrdering Portal ResourceGraph
		Resources SerialConsole support WorkloadMonitor`)
}

// others are the namespaces without Microsoft. that a subscription has to register for, from the same list and, for newer ones, from the names of Azure's SDK
// modules: the twin has no types of them, and says so when one is asked for.
func others() []string {
	return strings.Fields(`
		AAD Addons Advisor AlertsManagement AnalysisServices ApiManagement App AppConfiguration AppPlatform Attestation Automation AVS AzureActiveDirectory
		AzureArcData AzureData AzureStack AzureStackHCI Batch BingMaps Blueprint BotService Cache Capacity Cdn CertificateRegistration ChangeAnalysis Chaos
		ClassicCompute ClassicInfrastructureMigrate ClassicNetwork ClassicStorage CognitiveServices Communication Confluent ConnectedVMwarevSphere
		ContainerInstance ContainerRegistry ContainerService CostManagementExports CustomerLockbox CustomProviders Dashboard DataBox DataBoxEdge Databricks
		DataCatalog Datadog DataFactory DataLakeAnalytics DataLakeStore DataMigration DataProtection DataShare DBforMariaDB DBforMySQL DBforPostgreSQL
		DeploymentManager DesktopVirtualization DevCenter Devices DevOps DevSpaces DevTestLab DigitalTwins DocumentDB DomainRegistration Elastic ElasticSan
		EventGrid EventHub ExtendedLocation GuestConfiguration HanaOnAzure HardwareSecurityModules HDInsight HealthcareApis HybridCompute
		HybridContainerService HybridData HybridNetwork ImportExport insights IoTCentral Kubernetes KubernetesConfiguration KubernetesRuntime Kusto
		LabServices LoadTestService Logic MachineLearning MachineLearningServices Maintenance ManagedServices Management Maps Marketplace MarketplaceApps
		Media Migrate MixedReality Monitor NetApp NotificationHubs OffAzure OpenEnergyPlatform OperationalInsights OperationsManagement Peering PolicyInsights
		PowerBI PowerBIDedicated PowerPlatform Purview Quantum Quota RecoveryServices RedHatOpenShift Relay ResourceConnector ResourceHealth SaaS Scheduler
		Search Security SecurityInsights ServiceBus ServiceFabric ServiceFabricMesh ServiceLinker Services SignalRService SoftwarePlan Solutions Sql
		SqlVirtualMachine StorageCache StorageMover StorageSync StorSimple StreamAnalytics Subscription Synapse TimeSeriesInsights VideoIndexer
		VirtualMachineImages VMware VMwareCloudSimple VoiceServices VSOnline Web WindowsESU WindowsIoT Workloads`)
}

// versions are the api-versions of a namespace's types, newest first: those of Azure's SDKs for Python (Debian's python3-azure, to 2022) and for Go
// (fixtures/arm), of the specifications in Azure/azure-rest-api-specs for the years between, and of the clients the twin serves. They are of the namespace:
// which of its types has which is not kept.
func versions(namespace string) []any {
	var out []any
	for _, v := range Versions(namespace) {
		out = append(out, v)
	}
	return out
}

// Versions are those of a namespace; none: they are not known.
func Versions(namespace string) []string {
	known := map[string]string{
		"Microsoft.Authorization": `
			2022-08-01-preview 2022-04-01 2021-12-01-preview 2021-07-01-preview 2021-03-01-preview 2021-01-01-preview 2020-10-01-preview 2020-10-01
			2020-04-01-preview 2019-08-01-preview 2018-09-01-preview 2018-07-01-preview 2018-05-01-preview 2018-01-01-preview 2016-09-01 2015-07-01
			2015-06-01 2015-01-01`,
		"Microsoft.Compute": `
			2025-04-01 2025-03-03 2025-01-02 2024-11-04 2024-11-01 2024-07-01 2024-03-02 2024-03-01 2023-10-02 2023-09-01 2023-07-01 2023-04-02
			2023-03-01 2023-01-02 2022-11-01 2022-08-01 2022-07-02 2022-04-04 2022-03-03 2022-03-02 2022-03-01 2022-01-03 2021-12-01 2021-11-01
			2021-10-01 2021-08-01 2021-07-01 2021-04-01 2021-03-01 2020-12-01 2020-10-01-preview 2020-09-30 2020-06-30 2020-06-01 2020-05-01 2019-12-01
			2019-11-01 2019-07-01 2019-04-01 2019-03-01 2018-10-01 2018-09-30 2018-06-01 2018-04-01 2017-12-01 2017-09-01 2017-03-30 2016-04-30-preview
			2016-03-30 2015-06-15`,
		"Microsoft.KeyVault": `
			2024-11-01 2023-07-01 2023-02-01 2022-11-01 2022-07-01 2021-10-01 2021-06-01-preview 2021-04-01-preview 2020-04-01-preview 2019-09-01
			2018-02-14 2016-10-01 2015-11-01 2015-06-01`,
		"Microsoft.ManagedIdentity": `
			2024-11-30 2023-01-31 2022-01-31-preview 2021-09-30-preview 2018-11-30 2015-08-31-preview`,
		"Microsoft.Network": `
			2025-05-01 2025-01-01 2024-10-01 2024-07-01 2024-05-01 2024-03-01 2024-01-01 2023-11-01 2023-09-01 2023-06-01 2023-05-01 2023-04-01
			2023-02-01 2022-11-01 2022-09-01 2022-07-01 2021-02-01-preview 2021-02-01 2020-11-01 2020-08-01 2020-07-01 2020-06-01 2020-05-01 2020-04-01
			2020-03-01 2019-12-01 2019-11-01 2019-09-01 2019-08-01 2019-07-01 2019-06-01 2019-04-01 2019-02-01 2018-12-01 2018-11-01 2018-10-01
			2018-08-01 2018-07-01 2018-06-01 2018-04-01 2018-02-01 2018-01-01 2017-10-01 2017-06-01 2017-03-01 2016-12-01 2016-09-01 2015-06-15`,
		"Microsoft.Resources": `
			2025-04-01 2024-11-01 2024-07-01 2024-03-01 2023-07-01 2022-12-01 2022-09-01 2021-07-01 2021-04-01 2021-01-01 2020-10-01 2020-06-01
			2020-05-01 2019-11-01 2019-10-01 2019-08-01 2019-07-01 2019-06-01 2019-05-10 2019-05-01 2019-03-01 2018-06-01 2018-05-01 2018-02-01
			2017-05-10 2016-09-01 2016-06-01 2016-02-01 2015-11-01 2015-01-01 2014-04-01-preview`,
		"Microsoft.Storage": `
			2025-01-01 2024-01-01 2023-05-01 2023-04-01 2023-01-01 2022-09-01 2022-05-01 2021-09-01 2021-08-01 2021-06-01 2021-04-01 2021-02-01
			2021-01-01 2020-08-01-preview 2019-06-01 2019-04-01 2018-11-01 2018-07-01 2018-03-01-preview 2018-02-01 2017-10-01 2017-06-01 2016-12-01
			2016-01-01 2015-06-15`,
	}
	for name, all := range known {
		if strings.EqualFold(name, namespace) {
			return strings.Fields(all)
		}
	}
	return nil
}
